/* What a step needs before its first kernel: slots brought up to date, sequences spread over rows.
 *
 * slots_apply: one block an init, and blocks for the page-table diffs. counts are rebuilt from the
 * history when the sequence has penalties: 0x8000 marks a token of the prompt, the low 15 bits
 * count, saturating, how often it was generated. Both are free of order, so threads share the
 * history. Diffs go to warps by slot, each warp walking the list in order, so that a later diff of
 * the same entry wins as it does on the CPU. Bytes: 2 vocab an init with penalties, else the
 * plan's.
 *
 * step_fill, one kernel: from the plan's sequences
 *   seq[i]                     the plan's; past the last: all zero, score_next -1
 *   ids, pos, tok_seq [t]      of token t = q_start + j: id, kv_start + j, i; past the last: -1
 *   row_tok, row_seq, row_target [r]  rows whose logits are wanted, in order of tokens; then -1
 * Blocks own slices of 256 tokens, sequences and rows. All walk the list of sequences, 256 at a
 * time, since row numbers are a running sum over it; a token finds its sequence by bisection. The
 * bytes are few (24 a sequence and 12 a token read and written again): the time is that of four
 * dependent reads, header, sequence, id, last token.
 *
 * Measured (H200, 2026-11-24): step_fill 2.6 us for 256 sequences. */
#include "cluster.cuh"
#include "launch.h"

constexpr uint32_t kThreads = 256;
constexpr uint32_t kApplyThreads = 1024;
constexpr uint32_t kInPrompt = 0x8000, kMaxCount = 0x7fff;

template <typename T> __device__ __forceinline__ const T *plan_at(const void *plan, uint32_t off) {
    return reinterpret_cast<const T *>(static_cast<const unsigned char *>(plan) + off);
}

/* --- slots_apply --- */

template <typename T>
__device__ __forceinline__ void copy_words(T *dst, const T *src, uint32_t n_items) {
    static_assert(sizeof(T) % 4 == 0 && alignof(T) >= 4, "whole words");
    uint32_t *to = reinterpret_cast<uint32_t *>(dst);
    const uint32_t *from = reinterpret_cast<const uint32_t *>(src);
    for (uint32_t i = threadIdx.x; i < n_items * (uint32_t)(sizeof(T) / 4); i += blockDim.x)
        to[i] = from[i];
}

/* *c |= mark; its low 15 bits += n, at most kMaxCount. */
__device__ __forceinline__ void add_count(uint16_t *c, uint32_t mark, uint32_t n) {
    unsigned short *const p = reinterpret_cast<unsigned short *>(c);
    unsigned short seen = *p;
    for (;;) {
        const uint32_t sum = (seen & kMaxCount) + n;
        const uint32_t next = (seen & kInPrompt) | mark | (sum < kMaxCount ? sum : kMaxCount);
        if (next == seen) return;
        const unsigned short old = atomicCAS(p, seen, (unsigned short)next);
        if (old == seen) return;
        seen = old;
    }
}

__device__ void rebuild_counts(const pgd_slots &s, const void *plan, const pgd_plan_init *in) {
    uint16_t *const counts = s.counts + (size_t)in->slot * s.vocab_size;
    const int32_t *const history = plan_at<int32_t>(plan, in->off_history);
    for (uint32_t i = threadIdx.x; i < s.vocab_size; i += kApplyThreads)
        counts[i] = 0;
    __threadfence();
    __syncthreads();
    for (uint32_t i0 = 0; i0 < in->n_history; i0 += kApplyThreads) {
        const uint32_t i = i0 + threadIdx.x;
        const bool known = i < in->n_history;
        const int32_t token = known ? history[i] : -1;
        const uint32_t mark = i < in->n_prompt ? kInPrompt : 0;
        /* the same token often recurs: equals of a warp add up first */
        const uint32_t equal = __match_any_sync(kAllLanes, token);
        const uint32_t generated = equal & ~__ballot_sync(kAllLanes, mark);
        const uint32_t prompt = equal & ~generated;
        if (known && threadIdx.x % 32 == (uint32_t)__ffs(equal) - 1)
            add_count(counts + token, prompt ? kInPrompt : 0, __popc(generated));
    }
}

static __global__ void __launch_bounds__(kApplyThreads) slots_apply(const pgd_k_slots_apply a) {
    let_next_start();
    wait_for_previous();
    const pgd_slots &s = a.slots;
    if (blockIdx.x < a.n_init) {
        const pgd_plan_init *const in = plan_at<pgd_plan_init>(a.plan, a.off_init) + blockIdx.x;
        copy_words(s.sampling + in->slot, &in->sampling, 1);
        copy_words(s.bias + (size_t)in->slot * PGD_MAX_BIAS,
                   plan_at<pgd_bias>(a.plan, in->off_bias), in->n_bias);
        if (threadIdx.x == 0) {
            s.n_prompt[in->slot] = in->n_prompt;
            s.n_bias[in->slot] = in->n_bias;
        }
        if (in->sampling.flags & PGD_SAMPLE_PENALTIES) rebuild_counts(s, a.plan, in);
        return;
    }
    const uint32_t n_warps = (gridDim.x - a.n_init) * (kApplyThreads / 32);
    const uint32_t warp = (blockIdx.x - a.n_init) * (kApplyThreads / 32) + threadIdx.x / 32;
    const uint32_t lane = threadIdx.x % 32;
    const pgd_plan_table *const table = plan_at<pgd_plan_table>(a.plan, a.off_table);
    for (uint32_t i0 = 0; i0 < a.n_table; i0 += 32) {
        const uint32_t slot = i0 + lane < a.n_table ? table[i0 + lane].slot : 0;
        uint32_t mine = __ballot_sync(kAllLanes, i0 + lane < a.n_table && slot % n_warps == warp);
        for (; mine; mine &= mine - 1) {
            const pgd_plan_table t = table[i0 + (uint32_t)__ffs(mine) - 1];
            const int32_t *const pages = plan_at<int32_t>(a.plan, t.off_pages);
            int32_t *const to = s.page_table + (size_t)t.slot * s.max_pages + t.first;
            for (uint32_t k = lane; k < t.n; k += 32)
                to[k] = pages[k];
            __syncwarp();
        }
    }
}

int pgd_k_run_slots_apply(const pgd_k_slots_apply *a, pgd_stream s) {
    const uint32_t n_blocks = a->n_init + ceil_div(a->n_table, kApplyThreads);
    if (n_blocks == 0) return 0;
    return launch_kernel(slots_apply, n_blocks, kApplyThreads, 0, s, *a);
}

/* --- step_fill --- */

/* How many logits rows a sequence wants: every row whose next token is known, and the last when it
 * samples or has a target of its own. */
__device__ __forceinline__ uint32_t rows_of(const pgd_plan_seq &q) {
    const uint32_t last = q.flags & PGD_PLAN_SAMPLE || q.score_next >= 0 ? 1 : 0;
    return (q.flags & PGD_PLAN_SCORE ? q.n_new - 1 : 0) + last;
}

/* 256 consecutive sequences of the plan. */
struct Window {
    pgd_plan_seq seq[kThreads];
    uint32_t first_row[kThreads];
    uint32_t scratch[32];
};

/* Outputs of token t, which belongs to sequence first + i of the plan, the i-th of the window. */
__device__ __forceinline__ void fill_token(const pgd_k_step_fill &a, const Window &w,
                                           uint32_t first, uint32_t i, uint32_t t,
                                           const int32_t *plan_ids) {
    const pgd_plan_seq &q = w.seq[i];
    const uint32_t j = t - q.q_start, last = q.n_new - 1;
    const bool late = j == 0 && q.flags & PGD_PLAN_LATE_ID;
    a.ids[t] = late ? a.slots.last_token[q.slot] : plan_ids[t];
    a.pos[t] = (int32_t)(q.kv_start + j);
    a.tok_seq[t] = (int32_t)(first + i);
    const bool samples = j == last && q.flags & PGD_PLAN_SAMPLE;
    const bool scores = j == last ? q.score_next >= 0 : (q.flags & PGD_PLAN_SCORE) != 0;
    if (!samples && !scores) return;
    const uint32_t row = w.first_row[i] + (q.flags & PGD_PLAN_SCORE ? j : 0);
    if (row >= a.n_rows) return;
    a.row_tok[row] = (int32_t)t;
    a.row_seq[row] = (int32_t)(first + i);
    a.row_target[row] = samples ? -1 : j == last ? q.score_next : plan_ids[t + 1];
}

static __global__ void __launch_bounds__(kThreads) step_fill(const pgd_k_step_fill a) {
    __shared__ Window w;
    let_next_start();
    wait_for_previous();
    const pgd_plan *const plan = static_cast<const pgd_plan *>(a.plan);
    const pgd_plan_seq *const seq = plan_at<pgd_plan_seq>(plan, plan->off_seq);
    const int32_t *const ids = plan_at<int32_t>(plan, plan->off_ids);
    const uint32_t n_seq = plan->n_seq, n_tok = plan->n_tok;
    const uint32_t mine = blockIdx.x * kThreads + threadIdx.x; /* my token, sequence and row */
    uint32_t n_rows = 0;
    for (uint32_t first = 0; first < n_seq; first += kThreads) {
        const uint32_t n = n_seq - first < kThreads ? n_seq - first : kThreads;
        const bool in = threadIdx.x < n;
        pgd_plan_seq q = {};
        if (in) q = seq[first + threadIdx.x];
        uint32_t rows;
        const uint32_t before = block_prefix(in ? rows_of(q) : 0u, &rows, w.scratch);
        w.seq[threadIdx.x] = q;
        w.first_row[threadIdx.x] = n_rows + before;
        n_rows += rows;
        __syncthreads();
        const uint32_t end = w.seq[n - 1].q_start + w.seq[n - 1].n_new;
        if (mine >= w.seq[0].q_start && mine < end && mine < a.n_tok) {
            uint32_t lo = 0, hi = n; /* q_start[lo] <= mine < q_start[hi] */
            while (hi - lo > 1) {
                const uint32_t mid = (lo + hi) / 2;
                if (w.seq[mid].q_start <= mine)
                    lo = mid;
                else
                    hi = mid;
            }
            fill_token(a, w, first, lo, mine, ids);
        }
        __syncthreads();
    }
    if (mine < a.n_seq) {
        pgd_plan_seq q = {};
        q.score_next = -1;
        a.seq[mine] = mine < n_seq ? seq[mine] : q;
    }
    if (mine >= n_tok && mine < a.n_tok) a.ids[mine] = a.pos[mine] = a.tok_seq[mine] = -1;
    if (mine >= n_rows && mine < a.n_rows)
        a.row_tok[mine] = a.row_seq[mine] = a.row_target[mine] = -1;
}

int pgd_k_run_step_fill(const pgd_k_step_fill *a, pgd_stream s) {
    uint32_t most = a->n_tok > a->n_seq ? a->n_tok : a->n_seq;
    most = most > a->n_rows ? most : a->n_rows;
    if (most == 0) return 0;
    return launch_kernel(step_fill, ceil_div(most, kThreads), kThreads, 0, s, *a);
}

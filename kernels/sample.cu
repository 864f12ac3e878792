/* sample: from processed logits to tokens and logprobs, without sorting.
 *
 * logits [n_rows, vocab] f32, only read. A sampling row draws the token with the largest
 * (x - max) / temperature + gumbel(seed, choice, position, token) among those that min-p, top-k and
 * top-p keep, or takes the lowest id of the maximum when greedy; a scored row reports the logprob
 * of its target. Both give logprob = x - logsumexp(x) and the n_top largest tokens. The kept set
 * and all ties are those of include/pagoda/ops.h; every float that decides about a token is
 * computed as on the CPU (sampling_math.cuh), so the same logits give the same token. Sums of exp
 * differ in their order, so logprobs agree to 2e-5.
 *
 * Mapping: a row belongs to a cluster of 8 blocks of 384 threads (1 block for a vocabulary below
 * 8192), 1/8 of its tokens each. They are copied once, asynchronously, into shared memory (64 KB a
 * block at 128256 tokens: three blocks an SM) and all passes run there, so that the logits are read
 * once; what does not fit is read again through the L2 cache. Blocks tell each other maxima, sums
 * and histograms through distributed shared memory. Row r's results depend on nothing but the row,
 * and the shape of the cluster on the vocabulary alone.
 *
 * Passes over the tokens, four at a time: maximum; [sum of exp, with logprobs; selection, with a
 * top list]; greedy ends here; [scaling; selection by number, and by mass]; noise. The last
 * compares cheap bounds of logit plus noise with the best so far, and computes exactly only the few
 * tokens whose bound reaches it.
 *
 * Bytes: 4 n_rows vocab. Work of the noise: one Philox block, about 60 integer operations, for four
 * tokens of which one is within 17 of the best: most of them in a flat distribution, few in a
 * peaked one; one logarithm for the four, and more for those that may win.
 *
 * Measured (H200, 2026-11-24, reads 4.53 TB/s), 64 x 128256, us, logits of a normal distribution
 * (in brackets: all nearly equal): greedy 19 (0.37 of reads), temperature 42 (44), top-k 82 (131),
 * top-p 111 (166), both 95 (144); one row 5, 13, 30, 39, 35. 64 rows are more than fit the shared
 * memory of the GPU at once: the copies come in two waves. */
#include "select.cuh"

constexpr uint32_t kClusterVocab = 8192;        /* from here on a row is shared by a cluster */
constexpr uint32_t kMaxTokensPerBlock = 131068; /* 2^15 each must sum up in 32 bits */
constexpr uint32_t kMaxShared = 227 * 1024;

/* What is known of a row after its first pass. */
struct Row {
    uint32_t argmax, n_finite;
    bool bad;
};

/* Start copying the block's tokens; 16 bytes at a time where the row allows it. */
__device__ __forceinline__ void stage(const Tokens &t) {
    const uint32_t to = (uint32_t)__cvta_generic_to_shared(t.copy);
    const uint32_t past = t.n + threadIdx.x;
    if (past < ceil_div(t.n, kBatch) * kBatch) t.copy[past] = minus_infinity();
    if (reinterpret_cast<uintptr_t>(t.x) % 16 == 0 && t.n % 4 == 0) {
        for (uint32_t j = threadIdx.x * 4; j < t.n; j += kThreads * 4)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + j * 4), "l"(t.x + j)
                         : "memory");
    } else {
        for (uint32_t j = threadIdx.x; j < t.n; j += kThreads)
            asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to + j * 4), "l"(t.x + j)
                         : "memory");
    }
}

__device__ __forceinline__ void stage_wait() {
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
}

/* The largest of what the blocks hold as their best. */
__device__ __forceinline__ uint64_t most_of(const Box *box) {
    uint64_t best = 0;
    for (uint32_t r = 0; r < cluster_size(); r++)
        best = Max()(best, box[r].best);
    return best;
}

/* Maximum, its lowest id, and whether the row can be used. Sets t->max. */
template <bool kStaged> __device__ Row look_at_row(Tokens *t, Shared &s, uint32_t *turn) {
    float max = minus_infinity();
    uint32_t id = 0, n_finite = 0, bad = 0;
#pragma unroll 1
    for (uint32_t j = threadIdx.x * kBatch; j < t->n; j += kThreads * kBatch) {
        float x[kBatch];
        read_batch<kStaged>(*t, j, x);
#pragma unroll
        for (uint32_t k = 0; k < kBatch; k++) {
            bad |= !(x[k] < __int_as_float(0x7f800000)); /* +inf or NaN */
            n_finite += x[k] > minus_infinity();
            if (x[k] > max) {
                max = x[k];
                id = t->first + j + k;
            }
        }
    }
    Box mine = {};
    mine.best = block_reduce<Max, uint64_t>(packed(max, id), 0, Max(), s.scratch);
    const uint64_t counts =
        block_reduce<Add, uint64_t>((uint64_t)bad << 32 | n_finite, 0, Add(), s.scratch);
    mine.count[0] = (uint32_t)counts;
    mine.count[1] = (uint32_t)(counts >> 32);
    const Box *const box = exchange(s, mine, turn);
    Row row = {};
    const uint64_t best = most_of(box);
    for (uint32_t r = 0; r < cluster_size(); r++) {
        row.n_finite += box[r].count[0];
        row.bad |= box[r].count[1] != 0;
    }
    row.bad |= row.n_finite == 0;
    row.argmax = ~(uint32_t)best;
    t->max = value_of_key((uint32_t)(best >> 32));
    /* the sign of a zero shows in the keys of scaled logits */
    if (t->max == 0.0f && !row.bad) t->max = (t->x - t->first)[row.argmax];
    return row;
}

/* ln of the sum of e^x over the row. */
template <bool kStaged> __device__ double log_sum_exp(const Tokens &t, Shared &s, uint32_t *turn) {
    float sum = 0.0f;
#pragma unroll 1
    for (uint32_t j = threadIdx.x * kBatch; j < t.n; j += kThreads * kBatch) {
        float x[kBatch];
        read_batch<kStaged>(t, j, x);
#pragma unroll
        for (uint32_t k = 0; k < kBatch; k++)
            sum = __fadd_rn(sum, exact_exp(__fsub_rn(x[k], t.max)));
    }
    Box mine = {};
    mine.sum = block_reduce<Add, double>((double)sum, 0.0, Add(), s.scratch_sum);
    const Box *const box = exchange(s, mine, turn);
    double all = 0.0;
    for (uint32_t r = 0; r < cluster_size(); r++)
        all += box[r].sum;
    return (double)t.max + log(all);
}

/* The n largest tokens, 1 <= n <= finite tokens, into `out` of block 0: descending, ties by id. */
template <bool kStaged>
__device__ __noinline__ void top_list(const Tokens t, Shared &s, uint32_t n, double lse,
                                      pgd_top *out, uint32_t turn) {
    const Edge edge = select_top<kStaged, kLogit, false>(t, s, minus_infinity(), {n, 0.0f});
    const uint32_t limit = limit_of_equals<kStaged, kLogit>(t, s, edge, &turn);
    Shared *const home = cluster_peer(&s, 0);
    for (uint32_t j = threadIdx.x; j < t.n; j += kThreads) {
        const float x = value_at<kStaged, kLogit>(t, j);
        const uint32_t key = key_of(x);
        if (key < edge.least || (key == edge.least && j >= limit)) continue;
        const uint32_t place = atomicAdd(&home->n_top, 1u);
        if (place < n) home->top[place] = {x, t.first + j};
    }
    cluster_sync();
    if (cluster_rank() != 0 || threadIdx.x >= n) return;
    const TopEntry own = s.top[threadIdx.x];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < n; i++)
        rank += packed(s.top[i].x, s.top[i].id) > packed(own.x, own.id);
    out[rank].id = (int32_t)own.id;
    out[rank].logprob = (float)((double)own.x - lse);
}

/* --- the draw --- */

template <bool kStaged> __device__ __forceinline__ void scale_tokens(const Tokens &t) {
    if constexpr (kStaged) { /* else scaled when read */
        for (uint32_t j = threadIdx.x * kBatch; j < t.n; j += kThreads * kBatch) {
            float4 *const at = reinterpret_cast<float4 *>(t.copy + j);
            const float4 x = *at;
            *at = make_float4(scaled_logit(t, x.x), scaled_logit(t, x.y), scaled_logit(t, x.z),
                              scaled_logit(t, x.w));
        }
        __syncthreads();
    }
}

/* Mass of the tokens that an edge chooses. */
template <bool kStaged>
__device__ uint64_t mass_above(const Tokens &t, Shared &s, const Edge &edge, uint32_t *turn) {
    uint64_t mass = 0;
    for (uint32_t j = threadIdx.x; j < t.n; j += kThreads) {
        const float z = value_at<kStaged, kScaled>(t, j);
        if (key_of(z) > edge.least) mass += mass_of(z);
    }
    Box mine = {};
    mine.mass = block_reduce<Add, uint64_t>(mass, 0, Add(), s.scratch);
    const Box *const box = exchange(s, mine, turn);
    uint64_t all = (uint64_t)edge.n_equal * mass_of(value_of_key(edge.least));
    for (uint32_t r = 0; r < cluster_size(); r++)
        all += box[r].mass;
    return all;
}

/* The nucleus among the tokens that top-k chose: these are few enough for a list, as a rule. */
template <bool kStaged>
__device__ Edge nucleus_of(const Tokens &t, Shared &s, const Edge &chosen, float top_p,
                           uint32_t *turn) {
    const float floor = value_of_key(chosen.least);
    list_tokens<kStaged, kScaled, true>(t, s, floor, Place{}, 0);
    const Answer close = compare_all<true>(s, {0, top_p}, chosen);
    if (close.found) return {close.least, close.n_equal, close.tie != 0};
    const uint64_t mass = mass_above<kStaged>(t, s, chosen, turn);
    return select_top<kStaged, kScaled, true>(t, s, floor, {amount_of({0, top_p}, mass), 0.0f});
}

/* The edge of what min-p, top-k and top-p keep, in this order. The most likely token, at 0, is
 * always kept. */
template <bool kStaged>
__device__ Edge find_edge(const Tokens &t, Shared &s, const pgd_sampling *p, bool top_k, bool top_p,
                          uint32_t *turn) {
    float floor = minus_infinity();
    if (p->min_p > 0.0f) {
        floor = __fadd_rn(0.0f, exact_log(p->min_p));
        if (floor > 0.0f) floor = 0.0f;
    }
    if (top_k) {
        const Edge chosen =
            select_top<kStaged, kScaled, false>(t, s, floor, {(uint64_t)p->top_k, 0.0f});
        return top_p ? nucleus_of<kStaged>(t, s, chosen, p->top_p, turn) : chosen;
    }
    if (top_p) return select_top<kStaged, kScaled, true>(t, s, floor, {0, p->top_p});
    return {key_of(floor), 0xffffffffu, false};
}

/* The noise of a draw, whose logits take part, and how they are scaled. */
struct Draw {
    Noise noise;
    uint32_t least, limit;
    float inverse; /* of the temperature; 0: not to be used */
};

/* Upper bounds of the scaled logits in x, exact with an edge (kCut: there is one, and t.copy is
 * scaled), else but for the margin of gumbel_bound; -inf for tokens that the edge leaves out. */
template <bool kStaged, bool kCut>
__device__ __forceinline__ void bound_logits(const Tokens &t, const Draw &d, uint32_t j, float *x) {
#pragma unroll
    for (uint32_t k = 0; k < kBatch; k++) {
        if (!kCut && d.inverse > 0.0f) {
            x[k] = __fmul_rn(__fsub_rn(x[k], t.max), d.inverse);
            continue;
        }
        if (!kStaged || !kCut) x[k] = scaled_logit(t, x[k]);
        const uint32_t key = key_of(x[k]);
        if (kCut && !(key > d.least || (key == d.least && j + k < d.limit)))
            x[k] = minus_infinity();
    }
}

/* Compute exactly the tokens of the warp's batches, at j, whose bounds reach `reached`, the most
 * promising ones first; `reached` rises with what they give, and through s.reached with what other
 * warps found. Returns the best of the thread's tokens and `best`. */
template <bool kStaged, bool kCut>
__device__ __forceinline__ uint64_t try_batch(const Tokens &t, Shared &s, uint32_t j,
                                              const float *z, const uint32_t *words, uint64_t best,
                                              float *reached) {
    float bound[kBatch];
#pragma unroll
    for (uint32_t k = 0; k < kBatch; k++)
        bound[k] = __fadd_rn(z[k], gumbel_bound(words[k]));
    uint32_t seen = key_of(*reached);
    if (threadIdx.x % 32 == 0) seen = max(seen, atomicMax(&s.reached, seen));
    *reached = value_of_key(__shfl_sync(kAllLanes, seen, 0));
    for (;;) {
        float most = bound[0];
        uint32_t at = 0, word = words[0];
#pragma unroll
        for (uint32_t k = 1; k < kBatch; k++)
            if (bound[k] > most) {
                most = bound[k];
                at = k;
                word = words[k];
            }
        if (!__any_sync(kAllLanes, most >= *reached)) break;
        float total = minus_infinity();
        if (most >= *reached) {
            const float x = kStaged ? t.copy[j + at] : t.x[j + at];
            total = __fadd_rn(kStaged && kCut ? x : scaled_logit(t, x), gumbel_of(word));
            best = Max()(best, packed(total, t.first + j + at));
#pragma unroll
            for (uint32_t k = 0; k < kBatch; k++)
                if (k == at) bound[k] = minus_infinity();
        }
        *reached = Max()(*reached, warp_reduce(total, Max()));
    }
    if (threadIdx.x % 32 == 0) atomicMax(&s.reached, key_of(*reached));
    return best;
}

/* The token whose logit and noise are largest, lowest id first, among those that the edge keeps.
 * One pass: batches first compare their largest logit with the largest noise there is, then with
 * the largest of their four words; few go on to try_batch. How many depends on timing, the result
 * does not: whatever is left out is below a value that a token has. */
template <bool kStaged, bool kCut>
__device__ __noinline__ uint32_t noisiest(const Tokens t, Shared &s, const Draw d, uint32_t argmax,
                                          uint32_t turn) {
    float reached = gumbel_of(noise_word(d.noise, argmax)); /* the most likely token is at 0 */
    uint64_t best = packed(reached, argmax);
    for (uint32_t j0 = 0; j0 < t.n; j0 += kBatch * kThreads) {
        const uint32_t j = j0 + threadIdx.x * kBatch;
        float z[kBatch];
        read_batch<kStaged>(t, j, z);
        bound_logits<kStaged, kCut>(t, d, j, z);
        const float top = fmaxf(fmaxf(z[0], z[1]), fmaxf(z[2], z[3]));
        if (!__any_sync(kAllLanes, __fadd_rn(top, kGumbelMax) >= reached)) continue;
        uint32_t words[kBatch];
        noise_words(d.noise, (t.first + j) / kBatch, words);
        const uint32_t word = max(max(words[0], words[1]), max(words[2], words[3]));
        if (!__any_sync(kAllLanes, __fadd_rn(top, gumbel_bound(word)) >= reached)) continue;
        best = try_batch<kStaged, kCut>(t, s, j, z, words, best, &reached);
    }
    Box mine = {};
    mine.best = block_reduce<Max, uint64_t>(best, 0, Max(), s.scratch);
    return ~(uint32_t)most_of(exchange(s, mine, &turn));
}

template <bool kStaged>
__device__ __noinline__ uint32_t draw(const Tokens t, Shared &s, const pgd_sampling *p,
                                      uint32_t vocab, uint32_t argmax, uint32_t position,
                                      uint32_t turn) {
    const bool top_k = p->top_k > 0 && (uint32_t)p->top_k < vocab, top_p = p->top_p < 1.0f;
    Draw d = {};
    d.noise = {p->seed, p->choice, position};
    /* where the inverse loses no digits */
    if (t.temperature > 1e-30f && t.temperature < 1e30f) d.inverse = __frcp_rn(t.temperature);
    if (top_k || top_p || p->min_p > 0.0f) {
        scale_tokens<kStaged>(t);
        const Edge edge = find_edge<kStaged>(t, s, p, top_k, top_p, &turn);
        d.least = edge.least;
        d.limit = limit_of_equals<kStaged, kScaled>(t, s, edge, &turn);
        return noisiest<kStaged, true>(t, s, d, argmax, turn);
    }
    return noisiest<kStaged, false>(t, s, d, argmax, turn);
}

/* --- rows --- */

/* Rows of the same kind before this one. */
__device__ uint32_t rank_of_row(const pgd_k_sample &a, Shared &s, uint32_t row, bool scores) {
    uint64_t n = 0;
    for (uint32_t r = threadIdx.x; r < row; r += kThreads)
        n += a.row_tok[r] >= 0 && (a.row_target[r] >= 0) == scores;
    return (uint32_t)block_reduce<Add, uint64_t>(n, 0, Add(), s.scratch);
}

__device__ __forceinline__ void count_token(const pgd_slots &s, uint32_t slot, uint32_t token) {
    uint16_t *const c = s.counts + (size_t)slot * s.vocab_size + token;
    if ((*c & 0x7fff) < 0x7fff) (*c)++;
}

template <bool kStaged>
__device__ void sample_row(const pgd_k_sample &a, Tokens t, Shared &s, uint32_t position,
                           uint32_t slot) {
    const pgd_sampling *const p = a.slots.sampling + slot;
    uint32_t turn = 0, token = 0;
    const Row look = look_at_row<kStaged>(&t, s, &turn);
    const bool logprobs = p->flags & PGD_SAMPLE_LOGPROBS;
    if (!look.bad) {
        if (logprobs) {
            const double lse = log_sum_exp<kStaged>(t, s, &turn);
            const uint32_t n_top =
                min(min(p->n_top, (uint32_t)PGD_MAX_TOP_LOGPROBS), look.n_finite);
            if (n_top) top_list<kStaged>(t, s, n_top, lse, s.out.sample.top, turn++);
            if (threadIdx.x == 0) {
                s.lse = lse;
                s.out.sample.n_top = n_top;
            }
        }
        token = look.argmax;
        if (!(p->flags & PGD_SAMPLE_GREEDY))
            token = draw<kStaged>(t, s, p, a.vocab, look.argmax, position, turn);
    }
    if (cluster_rank() != 0) return;
    if (threadIdx.x == 0) {
        s.out.sample.slot = slot;
        s.out.sample.token = (int32_t)token;
        s.out.sample.flags = look.bad ? PGD_OUT_BAD_LOGITS : 0;
        if (logprobs && !look.bad)
            s.out.sample.logprob = (float)((double)(t.x - t.first)[token] - s.lse);
        a.slots.last_token[slot] = (int32_t)token;
        if (p->flags & PGD_SAMPLE_PENALTIES && !look.bad) count_token(a.slots, slot, token);
    }
    __syncthreads();
    uint32_t *const out = reinterpret_cast<uint32_t *>(a.sample_out + s.index);
    if (threadIdx.x < sizeof(pgd_sample_out) / 4) out[threadIdx.x] = s.out.words[threadIdx.x];
}

template <bool kStaged>
__device__ void score_row(const pgd_k_sample &a, Tokens t, Shared &s, uint32_t row,
                          uint32_t position, uint32_t slot) {
    const float *const logits = t.x - t.first;
    uint32_t turn = 0, n_top = 0;
    double lse = 0.0;
    const Row look = look_at_row<kStaged>(&t, s, &turn);
    if (!look.bad) {
        lse = log_sum_exp<kStaged>(t, s, &turn);
        n_top =
            min(min(a.slots.sampling[slot].n_top, (uint32_t)PGD_MAX_TOP_LOGPROBS), look.n_finite);
        if (n_top) top_list<kStaged>(t, s, n_top, lse, s.out.score.top, turn++);
    }
    if (cluster_rank() != 0) return;
    if (threadIdx.x == 0) {
        s.out.score.slot = slot;
        s.out.score.position = position;
        s.out.score.n_top = n_top;
        s.out.score.logprob = look.bad ? __int_as_float(0x7fc00000)
                                       : (float)((double)logits[a.row_target[row]] - lse);
    }
    __syncthreads();
    uint32_t *const out = reinterpret_cast<uint32_t *>(a.score_out + s.index);
    if (threadIdx.x < sizeof(pgd_score_out) / 4) out[threadIdx.x] = s.out.words[threadIdx.x];
}

template <bool kStaged>
static __global__ void __launch_bounds__(kThreads, 3) sample(const pgd_k_sample a, uint32_t chunk) {
    Shared &s = *reinterpret_cast<Shared *>(dynamic_shared());
    const uint32_t row = blockIdx.x / cluster_size();
    const float *const logits = a.logits + (size_t)row * a.vocab;
    Tokens t = {};
    t.first = min(cluster_rank() * chunk, a.vocab);
    t.n = min(chunk, a.vocab - t.first);
    t.x = logits + t.first;
    t.copy = reinterpret_cast<float *>(&s + 1);
    for (uint32_t i = threadIdx.x; i < sizeof(Shared) / 4; i += kThreads)
        reinterpret_cast<uint32_t *>(&s)[i] = 0;
    let_next_start();
    wait_for_previous();
    const int32_t token = a.row_tok[row];
    if (token < 0) return; /* the whole cluster */
    if (kStaged) stage(t);
    const uint32_t slot = a.seq[a.row_seq[row]].slot;
    const uint32_t position = (uint32_t)a.pos[token] + 1;
    t.temperature = a.slots.sampling[slot].temperature;
    const bool scores = a.row_target[row] >= 0;
    if (cluster_rank() == 0) { /* writes the results; counts while the copy runs */
        __syncthreads();       /* the work space is clear */
        const uint32_t rank = rank_of_row(a, s, row, scores);
        if (threadIdx.x == 0) s.index = (scores ? a.first_score : a.first_sample) + rank;
    }
    if (kStaged) stage_wait();
    cluster_sync(); /* every block has started and cleared its work space */
    if (scores)
        score_row<kStaged>(a, t, s, row, position, slot);
    else
        sample_row<kStaged>(a, t, s, position, slot);
}

uint64_t pgd_k_sample_space(uint32_t, uint32_t) {
    return 0;
}

int pgd_k_run_sample(const pgd_k_sample *a, pgd_stream s) {
    if (a->n_rows == 0) return 0;
    int device, major;
    cudaError_t e = cudaGetDevice(&device);
    if (!e) e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (e) return e;
    const uint32_t cluster = major >= 9 && a->vocab >= kClusterVocab ? kMaxCluster : 1;
    const uint32_t chunk = ceil_div(ceil_div(a->vocab, cluster), 4) * 4;
    if (chunk > kMaxTokensPerBlock) return cudaErrorInvalidValue;
    const size_t staged = sizeof(Shared) + chunk * sizeof(float);
    const bool fits = major >= 9 && staged <= kMaxShared;
    const auto kernel = fits ? sample<true> : sample<false>;
    if (fits) {
        e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)staged);
        if (e) return e;
    }
    return launch_clusters(kernel, a->n_rows * cluster, kThreads, cluster,
                           fits ? staged : sizeof(Shared), s, *a, chunk);
}

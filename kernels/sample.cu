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
 * Passes over the tokens: maximum; [sum of exp, with logprobs; selection, with a top list];
 * greedy ends here; [scaling; selection by number, and by mass]; a cheap bound of logit plus noise
 * for each token; the exact value of the few that their bound lets win.
 *
 * Bytes: 4 n_rows vocab. Integer work of the noise: about 60 operations a token that is within 17
 * of the best: most of them in a flat distribution, few in a peaked one. */
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
#pragma unroll 4
    for (uint32_t j = threadIdx.x; j < t->n; j += kThreads) {
        const float x = kStaged ? t->copy[j] : t->x[j];
        bad |= !(x < __int_as_float(0x7f800000)); /* +inf or NaN */
        n_finite += x > minus_infinity();
        if (x > max) {
            max = x;
            id = t->first + j;
        }
    }
    Box mine = {};
    mine.best = block_reduce<Max, uint64_t>(packed(max, id), 0, Max(), s.scratch);
    mine.count[0] = (uint32_t)block_reduce<Add, uint64_t>(n_finite, 0, Add(), s.scratch);
    mine.count[1] = (uint32_t)__syncthreads_or((int)bad);
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
#pragma unroll 4
    for (uint32_t j = threadIdx.x; j < t.n; j += kThreads)
        sum = __fadd_rn(sum, exact_exp(__fsub_rn(kStaged ? t.copy[j] : t.x[j], t.max)));
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
__device__ void top_list(const Tokens &t, Shared &s, uint32_t n, double lse, pgd_top *out,
                         uint32_t *turn) {
    const Edge edge = select_top<kStaged, kLogit, false>(t, s, minus_infinity(), {n, 0.0f});
    const uint32_t limit = limit_of_equals<kStaged, kLogit>(t, s, edge, turn);
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
#pragma unroll 4
        for (uint32_t j = threadIdx.x; j < t.n; j += kThreads)
            t.copy[j] = scaled_logit(t, t.copy[j]);
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

/* The token whose logit and noise are largest, lowest id first, among those that the edge keeps.
 * scaled: t.copy holds scaled logits. First a bound for every token, in place of the copies; then
 * only tokens whose bound reaches the exact value of the most promising one are computed exactly.
 */
template <bool kStaged>
__device__ uint32_t noisiest(const Tokens &t, Shared &s, const Noise &noise, bool scaled,
                             uint32_t least, uint32_t limit, uint32_t argmax, uint32_t *turn) {
    const float *const row = t.x - t.first;
    const float sure = gumbel_of(noise_bits(noise, argmax)); /* the most likely token's, at 0 */
    float most = minus_infinity();
    uint32_t id = argmax;
    for (uint32_t j0 = threadIdx.x; j0 < t.n; j0 += kBatch * kThreads) {
        float z[kBatch];
        bool any = false;
#pragma unroll
        for (uint32_t k = 0; k < kBatch; k++) {
            const uint32_t j = j0 + k * kThreads;
            z[k] = minus_infinity();
            if (j >= t.n) continue;
            z[k] = kStaged ? t.copy[j] : t.x[j];
            if (!scaled) z[k] = scaled_logit(t, z[k]);
            const uint32_t key = key_of(z[k]);
            const bool kept = key > least || (key == least && j < limit);
            if (!kept || !(__fadd_rn(z[k], kGumbelMax) >= sure)) z[k] = minus_infinity();
            any |= z[k] > minus_infinity();
        }
        if (any) {
#pragma unroll
            for (uint32_t k = 0; k < kBatch; k++)
                z[k] += gumbel_bound(noise_bits(noise, t.first + j0 + k * kThreads));
        }
#pragma unroll
        for (uint32_t k = 0; k < kBatch; k++) {
            const uint32_t j = j0 + k * kThreads;
            if (kStaged && j < t.n) t.copy[j] = z[k];
            if (z[k] > most) {
                most = z[k];
                id = t.first + j;
            }
        }
    }
    Box mine = {};
    mine.best = block_reduce<Max, uint64_t>(packed(most, id), 0, Max(), s.scratch);
    const uint32_t hope = ~(uint32_t)most_of(exchange(s, mine, turn));
    const float reached = __fadd_rn(scaled_logit(t, row[hope]), gumbel_of(noise_bits(noise, hope)));
    uint64_t best = 0;
    for (uint32_t j = threadIdx.x; j < t.n; j += kThreads) {
        if (kStaged && t.copy[j] < reached) continue;
        const float z = scaled_logit(t, t.x[j]);
        const uint32_t key = key_of(z), bits = noise_bits(noise, t.first + j);
        if (key < least || (key == least && j >= limit) || z + gumbel_bound(bits) < reached)
            continue;
        const uint64_t own = packed(__fadd_rn(z, gumbel_of(bits)), t.first + j);
        best = Max()(best, own);
    }
    mine.best = block_reduce<Max, uint64_t>(best, 0, Max(), s.scratch);
    return ~(uint32_t)most_of(exchange(s, mine, turn));
}

template <bool kStaged>
__device__ uint32_t draw(const Tokens &t, Shared &s, const pgd_sampling *p, uint32_t vocab,
                         uint32_t argmax, uint32_t position, uint32_t *turn) {
    const bool top_k = p->top_k > 0 && (uint32_t)p->top_k < vocab, top_p = p->top_p < 1.0f;
    const bool selects = top_k || top_p || p->min_p > 0.0f;
    uint32_t least = 0, limit = 0xffffffffu;
    if (selects) {
        scale_tokens<kStaged>(t);
        const Edge edge = find_edge<kStaged>(t, s, p, top_k, top_p, turn);
        least = edge.least;
        limit = limit_of_equals<kStaged, kScaled>(t, s, edge, turn);
    }
    const Noise noise = {p->seed, p->choice, position};
    return noisiest<kStaged>(t, s, noise, kStaged && selects, least, limit, argmax, turn);
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
__device__ void sample_row(const pgd_k_sample &a, Tokens t, Shared &s, uint32_t row,
                           uint32_t position, uint32_t slot, const float *logits) {
    const pgd_sampling *const p = a.slots.sampling + slot;
    uint32_t turn = 0, token = 0, n_top = 0;
    double lse = 0.0;
    const Row look = look_at_row<kStaged>(&t, s, &turn);
    const bool logprobs = p->flags & PGD_SAMPLE_LOGPROBS;
    if (!look.bad) {
        if (logprobs) {
            lse = log_sum_exp<kStaged>(t, s, &turn);
            n_top = min(min(p->n_top, (uint32_t)PGD_MAX_TOP_LOGPROBS), look.n_finite);
            if (n_top) top_list<kStaged>(t, s, n_top, lse, s.out.sample.top, &turn);
        }
        token = look.argmax;
        if (!(p->flags & PGD_SAMPLE_GREEDY))
            token = draw<kStaged>(t, s, p, a.vocab, look.argmax, position, &turn);
    }
    if (cluster_rank() != 0) return;
    const uint32_t index = a.first_sample + rank_of_row(a, s, row, false);
    if (threadIdx.x == 0) {
        s.out.sample.slot = slot;
        s.out.sample.token = (int32_t)token;
        s.out.sample.flags = look.bad ? PGD_OUT_BAD_LOGITS : 0;
        s.out.sample.n_top = n_top;
        if (logprobs && !look.bad) s.out.sample.logprob = (float)((double)logits[token] - lse);
        a.slots.last_token[slot] = (int32_t)token;
        if (p->flags & PGD_SAMPLE_PENALTIES && !look.bad) count_token(a.slots, slot, token);
    }
    __syncthreads();
    uint32_t *const out = reinterpret_cast<uint32_t *>(a.sample_out + index);
    if (threadIdx.x < sizeof(pgd_sample_out) / 4) out[threadIdx.x] = s.out.words[threadIdx.x];
}

template <bool kStaged>
__device__ void score_row(const pgd_k_sample &a, Tokens t, Shared &s, uint32_t row,
                          uint32_t position, uint32_t slot, const float *logits) {
    uint32_t turn = 0, n_top = 0;
    double lse = 0.0;
    const Row look = look_at_row<kStaged>(&t, s, &turn);
    if (!look.bad) {
        lse = log_sum_exp<kStaged>(t, s, &turn);
        n_top =
            min(min(a.slots.sampling[slot].n_top, (uint32_t)PGD_MAX_TOP_LOGPROBS), look.n_finite);
        if (n_top) top_list<kStaged>(t, s, n_top, lse, s.out.score.top, &turn);
    }
    if (cluster_rank() != 0) return;
    const uint32_t index = a.first_score + rank_of_row(a, s, row, true);
    if (threadIdx.x == 0) {
        s.out.score.slot = slot;
        s.out.score.position = position;
        s.out.score.n_top = n_top;
        s.out.score.logprob = look.bad ? __int_as_float(0x7fc00000)
                                       : (float)((double)logits[a.row_target[row]] - lse);
    }
    __syncthreads();
    uint32_t *const out = reinterpret_cast<uint32_t *>(a.score_out + index);
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
    wait_for_previous();
    let_next_start();
    const int32_t token = a.row_tok[row];
    if (token < 0) return; /* the whole cluster */
    if (kStaged) stage(t);
    const uint32_t slot = a.seq[a.row_seq[row]].slot;
    const uint32_t position = (uint32_t)a.pos[token] + 1;
    t.temperature = a.slots.sampling[slot].temperature;
    if (kStaged) stage_wait();
    cluster_sync(); /* every block has started and cleared its work space */
    if (a.row_target[row] >= 0)
        score_row<kStaged>(a, t, s, row, position, slot, logits);
    else
        sample_row<kStaged>(a, t, s, row, position, slot, logits);
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

/* The work space of a sampling row and the selection of its largest tokens; part of sample.cu.
 *
 * A row is held by a cluster of blocks, each with a contiguous range of its tokens. Selection finds
 * the edge of "the largest tokens until their number, or their mass, reaches a target" exactly and
 * without sorting: a histogram over equal steps below the maximum finds the step of the edge; its
 * tokens, few as a rule, are listed and compared with each other. Where they are many, the step is
 * cut into parts the same way, and where these are crowded too (equal logits), a radix selection
 * over the bits of their keys ends it. Numbers and masses are integers, so the order in which they
 * are added does not matter. */
#ifndef PAGODA_KERNELS_SELECT_CUH
#define PAGODA_KERNELS_SELECT_CUH

#include "cluster.cuh"
#include "launch.h"
#include "sampling_math.cuh"

constexpr uint32_t kThreads = 384; /* three blocks an SM leave each thread 56 registers */
constexpr uint32_t kMaxCluster = 8;
constexpr uint32_t kBatch = 4;     /* tokens a thread has in hand at once, 16 bytes side by side */
constexpr uint32_t kKeyBits = 8;   /* a digit of the radix selection */
constexpr uint32_t kMaxList = 256; /* tokens compared with each other */
/* Steps below the maximum: kNear of them cover a distance of 8, where most of the mass lies, the
 * others 16 more; the last takes what is further away. Two bins a thread. */
constexpr uint32_t kBins = 768;
constexpr uint32_t kNearBins = 512;
constexpr float kNearPerUnit = 64.0f, kFarPerUnit = 16.0f, kNear = 8.0f;
static_assert(kBins == 2 * kThreads && kNearPerUnit * kNear == kNearBins, "bins");

/* What blocks of a cluster tell each other. */
struct Box {
    uint64_t best; /* the largest of packed */
    uint64_t mass;
    double sum;
    uint32_t count[2];
};

/* Where the target was reached. */
struct Answer {
    uint64_t left, here; /* still wanted of the bin or key, and how much it has */
    uint32_t digit, least, n_equal, tie, found;
};

struct TopEntry {
    float x;
    uint32_t id;
};

struct Shared {
    uint32_t low[kBins],
        high[kBins]; /* sums of the low 15 bits and of the rest; zero between uses */
    uint32_t list[kMaxList], list_mass[kMaxList];
    uint64_t scratch[32];
    double scratch_sum[32];
    Box box[2][kMaxCluster];
    Answer answer;
    TopEntry top[PGD_MAX_TOP_LOGPROBS];
    uint32_t n_list, n_top, limit;
    uint32_t reached; /* key of the largest logit plus noise so far */
    /* kept by thread 0 until the results are written */
    uint32_t index;
    double lse;
    union {
        pgd_sample_out sample;
        pgd_score_out score;
        uint32_t words[sizeof(pgd_sample_out) / 4];
    } out;
};
static_assert(sizeof(Shared) % 16 == 0, "the copy of the logits follows");

/* The tokens [first, first + n) of a row, those of this block; first is a multiple of kBatch. */
struct Tokens {
    const float *x;
    /* the same in shared memory, aligned to 16 bytes, followed by -inf up to a multiple of kBatch;
     * after scale_tokens: (x - max) / temperature */
    float *copy;
    uint32_t first, n;
    float max, temperature;
};

enum Kind { kLogit, kScaled };

__device__ __forceinline__ float minus_infinity() {
    return __int_as_float(0xff800000);
}

__device__ __forceinline__ float scaled_logit(const Tokens &t, float x) {
    return __fdiv_rn(__fsub_rn(x, t.max), t.temperature);
}

/* Token j as selection sees it. Logits of -0 count as +0: ties go by id there. */
template <bool kStaged, Kind kKind>
__device__ __forceinline__ float value_at(const Tokens &t, uint32_t j) {
    if (kKind == kScaled) return kStaged ? t.copy[j] : scaled_logit(t, t.x[j]);
    return __fadd_rn(kStaged ? t.copy[j] : t.x[j], 0.0f);
}

/* Order-preserving integer of a float that is not NaN (-0 below +0), and back. */
__device__ __forceinline__ uint32_t key_of(float v) {
    const uint32_t u = __float_as_uint(v);
    return u ^ (u >> 31 ? 0xffffffffu : 0x80000000u);
}
__device__ __forceinline__ float value_of_key(uint32_t key) {
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

/* Orders by value, then by lower id; 0 is below every token. */
__device__ __forceinline__ uint64_t packed(float v, uint32_t id) {
    return (uint64_t)key_of(__fadd_rn(v, 0.0f)) << 32 | (uint32_t)~id;
}

/* Give every block mine, which is the same in all its threads; returns the boxes by rank. turn
 * counts the calls: boxes alternate, since a block may be one barrier ahead of a reader. */
__device__ __forceinline__ const Box *exchange(Shared &s, const Box &mine, uint32_t *turn) {
    Box *const box = s.box[*turn & 1];
    (*turn)++;
    if (threadIdx.x < cluster_size()) cluster_peer(box, threadIdx.x)[cluster_rank()] = mine;
    cluster_sync();
    return box;
}

/* Add weight to a bin. Whole warps call it; in: this lane has a token. A warp whose tokens share a
 * bin adds up first: equal logits would queue at one address. */
__device__ __forceinline__ void add_to_bin(Shared &s, bool in, uint32_t digit, uint32_t weight) {
    const uint32_t lanes = __ballot_sync(kAllLanes, in);
    if (!lanes) return;
    const uint32_t leader = (uint32_t)__ffs(lanes) - 1;
    const uint32_t common = __shfl_sync(kAllLanes, digit, leader);
    uint32_t low = in ? weight & 0x7fff : 0, high = in ? weight >> 15 : 0;
    if (__all_sync(kAllLanes, !in || digit == common)) {
        low = warp_reduce(low, Add());
        high = warp_reduce(high, Add());
        in = threadIdx.x % 32 == leader;
    }
    if (!in) return;
    if (low) atomicAdd(&s.low[digit], low);
    if (high) atomicAdd(&s.high[digit], high);
}

/* How much to take of a sum: an amount, at most all of it; with a share above 0, that share of it.
 * At least 1, which every sum has. */
struct Want {
    uint64_t amount;
    float share;
};

__device__ __forceinline__ uint64_t amount_of(const Want &want, uint64_t all) {
    if (want.share == 0.0f) return want.amount < all ? want.amount : all;
    const double part = ceil(__dmul_rn((double)want.share, (double)all));
    if (part <= 1.0) return 1;
    return part < (double)all ? (uint64_t)part : all;
}

/* Find the bin in which the running sum over bins, from 0 up, reaches what is wanted of the whole.
 * Leaves the bins zero. */
__device__ __noinline__ Answer settle(Shared &s, const Want want) {
    cluster_sync();
    if (cluster_rank() == 0) {
        const uint32_t at = 2 * threadIdx.x;
        uint64_t a = 0, b = 0, all;
        for (uint32_t r = 0; r < cluster_size(); r++) {
            const uint2 low = *reinterpret_cast<const uint2 *>(cluster_peer(s.low, r) + at);
            const uint2 high = *reinterpret_cast<const uint2 *>(cluster_peer(s.high, r) + at);
            a += low.x + ((uint64_t)high.x << 15);
            b += low.y + ((uint64_t)high.y << 15);
        }
        const uint64_t before = block_prefix(a + b, &all, s.scratch);
        const uint64_t amount = amount_of(want, all);
        if (before < amount && amount <= before + a + b) {
            const bool second = amount > before + a;
            Answer answer = {};
            answer.digit = at + second;
            answer.left = amount - before - (second ? a : 0);
            answer.here = second ? b : a;
            for (uint32_t r = 0; r < cluster_size(); r++)
                *cluster_peer(&s.answer, r) = answer;
        }
    }
    cluster_sync();
    const Answer answer = s.answer;
    s.low[threadIdx.x] = s.low[threadIdx.x + kThreads] = 0;
    s.high[threadIdx.x] = s.high[threadIdx.x + kThreads] = 0;
    __syncthreads();
    return answer;
}

/* The edge: tokens with key above least are chosen, and the first n_equal of those at it; tie:
 * there are more of these. */
struct Edge {
    uint32_t least, n_equal;
    bool tie;
};

__device__ __forceinline__ uint32_t times_to_reach(uint64_t left, uint64_t each) {
    return (uint32_t)((left + each - 1) / each);
}

/* Block 0 looks among the tokens in its list for the one where `want` of those that `within`
 * chooses is reached; the others learn the answer. found 0: the list was too short. */
template <bool kByMass>
__device__ __noinline__ Answer compare_all(Shared &s, const Want want, const Edge within) {
    cluster_sync();
    if (cluster_rank() == 0) {
        const uint32_t n = s.n_list;
        if (n <= kMaxList) {
            const bool in = threadIdx.x < n;
            const uint32_t own = in ? s.list[threadIdx.x] : 0;
            const uint32_t each = kByMass ? mass_of(value_of_key(own)) : 1;
            if (in) s.list_mass[threadIdx.x] = each;
            uint64_t amount = want.amount;
            if (kByMass && want.share > 0.0f) {
                const uint64_t mass = in && own > within.least ? each : 0;
                const uint64_t at_edge =
                    (uint64_t)within.n_equal * mass_of(value_of_key(within.least));
                amount = amount_of(want, block_reduce<Add, uint64_t>(mass, 0, Add(), s.scratch) +
                                             at_edge);
            }
            __syncthreads();
            uint64_t above = 0;
            uint32_t equal = 0;
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t key = s.list[i];
                if (key > own) above += s.list_mass[i];
                equal += key == own;
            }
            if (in && above < amount && amount <= above + (uint64_t)equal * each) {
                Answer answer = {};
                answer.found = 1;
                answer.least = own;
                answer.n_equal = times_to_reach(amount - above, each);
                answer.tie = answer.n_equal < equal;
                for (uint32_t r = 0; r < cluster_size(); r++)
                    *cluster_peer(&s.answer, r) = answer;
            }
        } else if (threadIdx.x < cluster_size()) {
            cluster_peer(&s.answer, threadIdx.x)->found = 0;
        }
        __syncthreads();
        if (threadIdx.x == 0) s.n_list = 0;
    }
    cluster_sync();
    return s.answer;
}

/* A step below the maximum: one of kBins equal ones, at level 1 one of kBins parts of such a step.
 */
struct Place {
    uint32_t level, step, part;
};

/* Number of v's step at the level of `place`, in [0, kBins), larger for smaller values; kOutside
 * when v does not lie in the steps chosen at the levels before. */
constexpr uint32_t kOutside = 0xffffffffu;

template <Kind kKind>
__device__ __forceinline__ uint32_t step_of(const Tokens &t, float v, const Place &place) {
    const float depth = kKind == kScaled ? -v : __fsub_rn(t.max, v), last = (float)(kBins - 1);
    const float at = depth < kNear ? __fmul_rn(depth, kNearPerUnit)
                                   : __fadd_rn(__fmul_rn(__fsub_rn(depth, kNear), kFarPerUnit),
                                               (float)kNearBins);
    const uint32_t step = (uint32_t)fminf(at, last);
    if (place.level == 0) return step;
    if (step != place.step) return kOutside;
    const uint32_t part =
        (uint32_t)fminf(__fmul_rn(__fsub_rn(at, (float)step), (float)kBins), last);
    return place.level == 1 || part == place.part ? part : kOutside;
}

/* Tokens j to j + kBatch - 1 as they stand, j a multiple of kBatch; -inf past the end. */
template <bool kStaged>
__device__ __forceinline__ void read_batch(const Tokens &t, uint32_t j, float *x) {
    if (kStaged && j < t.n) {
        const float4 v = *reinterpret_cast<const float4 *>(t.copy + j);
        x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
        return;
    }
#pragma unroll
    for (uint32_t k = 0; k < kBatch; k++)
        x[k] = !kStaged && j + k < t.n ? t.x[j + k] : minus_infinity();
}

/* The value of token j when it takes part, else -inf. */
template <bool kStaged, Kind kKind>
__device__ __forceinline__ float value_from(const Tokens &t, uint32_t j, float floor) {
    const float v = j < t.n ? value_at<kStaged, kKind>(t, j) : minus_infinity();
    return v >= floor ? v : minus_infinity();
}

/* This thread's kBatch values of the kBatch * kThreads from token j0 on; -inf for what takes no
 * part. */
template <bool kStaged, Kind kKind>
__device__ __forceinline__ void values_from(const Tokens &t, uint32_t j0, float floor, float *v) {
    read_batch<kStaged>(t, j0 + threadIdx.x * kBatch, v);
#pragma unroll
    for (uint32_t k = 0; k < kBatch; k++) {
        if (kKind == kLogit) v[k] = __fadd_rn(v[k], 0.0f);
        if (kKind == kScaled && !kStaged) v[k] = scaled_logit(t, v[k]);
        if (!(v[k] >= floor)) v[k] = minus_infinity();
    }
}

/* Keys of the tokens at `step` of the place, or of all tokens, to the list of block 0. */
template <bool kStaged, Kind kKind, bool kAll>
__device__ void list_tokens(const Tokens &t, Shared &s, float floor, const Place &place,
                            uint32_t step) {
    Shared *const home = cluster_peer(&s, 0);
    const uint32_t lane = threadIdx.x % 32;
    for (uint32_t j0 = 0; j0 < t.n; j0 += kBatch * kThreads) {
        float v[kBatch];
        values_from<kStaged, kKind>(t, j0, floor, v);
#pragma unroll
        for (uint32_t k = 0; k < kBatch; k++) {
            const bool in =
                v[k] > minus_infinity() && (kAll || step_of<kKind>(t, v[k], place) == step);
            const uint32_t lanes = __ballot_sync(kAllLanes, in);
            if (!lanes) continue;
            uint32_t at = 0;
            if (lane == 0) at = atomicAdd(&home->n_list, (uint32_t)__popc(lanes));
            at = __shfl_sync(kAllLanes, at, 0) + (uint32_t)__popc(lanes & ((1u << lane) - 1));
            if (in && at < kMaxList) home->list[at] = key_of(v[k]);
        }
    }
}

/* The edge among the tokens of a place, where they are too many to compare: digit by digit of their
 * keys, inverted, so that bins count downwards. A call, since it is rare. */
template <bool kStaged, Kind kKind, bool kByMass>
__device__ __noinline__ Edge select_by_digits(const Tokens t, Shared &s, float floor,
                                              const Place place, Want want) {
    Answer at = {};
    uint32_t prefix = 0;
    for (uint32_t shift = 32 - kKeyBits;; shift -= kKeyBits) {
        for (uint32_t j0 = 0; j0 < t.n; j0 += kThreads) {
            const float v = value_from<kStaged, kKind>(t, j0 + threadIdx.x, floor);
            const uint32_t inverted = ~key_of(v);
            const bool in = v > minus_infinity() && step_of<kKind>(t, v, place) != kOutside &&
                            (shift == 32 - kKeyBits || inverted >> (shift + kKeyBits) == prefix);
            add_to_bin(s, in, inverted >> shift & ((1u << kKeyBits) - 1), kByMass ? mass_of(v) : 1);
        }
        at = settle(s, want);
        want.amount = at.left;
        prefix = prefix << kKeyBits | at.digit;
        if (shift == 0) break;
    }
    const uint32_t least = ~prefix;
    const uint64_t each = kByMass ? mass_of(value_of_key(least)) : 1;
    const uint32_t n_equal = times_to_reach(at.left, each);
    return {least, n_equal, n_equal * each < at.here};
}

/* The largest tokens, of those at or above floor and above -inf (there is one), until their number
 * (kByMass: their mass) reaches what is wanted of all of these. */
template <bool kStaged, Kind kKind, bool kByMass>
__device__ __noinline__ Edge select_top(const Tokens t, Shared &s, float floor, Want want) {
    Place place = {};
    Answer at = {};
    for (; place.level < 2; place.level++) {
        for (uint32_t j0 = 0; j0 < t.n; j0 += kBatch * kThreads) {
            float v[kBatch];
            values_from<kStaged, kKind>(t, j0, floor, v);
#pragma unroll
            for (uint32_t k = 0; k < kBatch; k++) {
                const uint32_t step =
                    v[k] > minus_infinity() ? step_of<kKind>(t, v[k], place) : kOutside;
                add_to_bin(s, step != kOutside, step, kByMass ? mass_of(v[k]) : 1);
            }
        }
        at = settle(s, want);
        want = {at.left, 0.0f};
        list_tokens<kStaged, kKind, false>(t, s, floor, place, at.digit);
        const Answer close = compare_all<kByMass>(s, want, Edge{});
        if (close.found) return {close.least, close.n_equal, close.tie != 0};
        if (place.level == 0)
            place.step = at.digit;
        else
            place.part = at.digit;
    }

    return select_by_digits<kStaged, kKind, kByMass>(t, s, floor, place, want);
}

/* limit_of_equals where there is a tie. A call, since it is rare. */
template <bool kStaged, Kind kKind>
__device__ __noinline__ uint32_t limit_of_tie(const Tokens t, Shared &s, const Edge edge,
                                              uint32_t turn) {
    uint32_t equal = 0;
    for (uint32_t j0 = 0; j0 < t.n; j0 += kThreads) {
        const uint32_t j = j0 + threadIdx.x;
        equal +=
            __syncthreads_count(j < t.n && key_of(value_at<kStaged, kKind>(t, j)) == edge.least);
    }
    Box mine = {};
    mine.count[0] = equal;
    const Box *const box = exchange(s, mine, &turn);
    uint32_t before = 0;
    for (uint32_t r = 0; r < cluster_rank(); r++)
        before += box[r].count[0];
    if (before >= edge.n_equal) return 0;
    const uint32_t wanted = edge.n_equal - before;
    if (wanted >= equal) return 0xffffffffu;
    uint32_t seen = 0;
    for (uint32_t j0 = 0; j0 < t.n; j0 += kThreads) { /* the same for all threads */
        const uint32_t j = j0 + threadIdx.x;
        const bool in = j < t.n && key_of(value_at<kStaged, kKind>(t, j)) == edge.least;
        uint64_t here;
        const uint64_t at = block_prefix<uint64_t>(in, &here, s.scratch);
        if (in && seen + at + 1 == wanted) s.limit = j + 1;
        seen += (uint32_t)here;
        if (seen >= wanted) break;
    }
    __syncthreads();
    return s.limit;
}

/* Of the block's tokens at the edge, those with j below the returned number are chosen. */
template <bool kStaged, Kind kKind>
__device__ __forceinline__ uint32_t limit_of_equals(const Tokens &t, Shared &s, const Edge &edge,
                                                    uint32_t *turn) {
    if (!edge.tie) return 0xffffffffu;
    const uint32_t limit = limit_of_tie<kStaged, kKind>(t, s, edge, *turn);
    (*turn)++;
    return limit;
}

#endif

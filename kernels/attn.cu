/* Attention: the planner, the work space and the calls of launch.h.
 *
 * The planner is one CTA, once a step. It looks at the sequences' lengths alone and lists, for all
 * layers: chunks of sequences to decode (at most 16 query rows for each kv head), and tiles of
 * query rows of the others, those with most keys first. It also places the partials of split
 * sequences; a sequence for which there is no room left (many sequences that share pages) becomes
 * one item, done by one warp for each kv head, with the same bits. Both kernels are launched with
 * grids that depend on the host's bounds alone and take what the lists hold, so a captured graph
 * serves any lengths. */
#include "attn.cuh"

constexpr uint32_t kPlanThreads = 1024;
constexpr uint32_t kBins = 256;

/* --- work space --- */

static bool attn_supported(const pgd_k_attn_limits *l) {
    const uint32_t d = l->head_dim;
    return (l->type == PGD_BF16 || l->type == PGD_F16) &&
           (d == 64 || d == 80 || d == 96 || d == 128 || d == 256) && l->n_kv_heads &&
           l->n_heads % l->n_kv_heads == 0 && l->n_heads / l->n_kv_heads <= kDecodeRows &&
           l->n_heads / l->n_kv_heads >= 1 && l->max_seqs && l->max_tokens && l->max_pages_per_seq;
}

static uint64_t place(uint64_t *end, uint64_t bytes) {
    const uint64_t at = *end;
    *end = (at + bytes + 255) / 256 * 256;
    return at;
}

AttnSpace attn_space(const pgd_k_attn_limits *l) {
    AttnSpace s = {};
    const uint64_t group = l->n_heads / l->n_kv_heads;
    const uint64_t chunk_pages = kChunkUnits;
    const uint64_t all =
        (uint64_t)l->max_seqs * ((l->max_pages_per_seq + chunk_pages - 1) / chunk_pages);
    const uint64_t shared = 2 * ((l->n_pages + chunk_pages - 1) / chunk_pages) + 2 * l->max_seqs;
    const uint64_t chunks = all < shared ? all : shared;
    const uint64_t rows = chunks * l->n_heads;
    const uint64_t spare = (uint64_t)l->max_seqs * kDecodeRows * l->n_kv_heads;
    uint64_t end = 0;
    place(&end, sizeof(AttnCounts));
    s.items = place(&end, (chunks + l->max_seqs) * sizeof(AttnItem));
    s.tiles = place(&end, (l->max_tokens * group / kGenericRows + l->max_seqs) * sizeof(AttnTile));
    s.tickets = place(&end, ((uint64_t)l->max_seqs * l->n_kv_heads + 1) * sizeof(uint32_t));
    s.partial_ml = place(&end, (rows + spare) * sizeof(float2));
    s.partial_o = place(&end, (rows + spare) * l->head_dim * sizeof(float));
    s.bytes = end;
    s.split_rows = (uint32_t)rows;
    return s;
}

uint64_t pgd_k_attn_space(const pgd_k_attn_limits *l) {
    return attn_supported(l) ? attn_space(l).bytes : 0;
}

/* Decode and the prefill by wgmma need Hopper's bulk copies and shared memory. */
static int choose_route(AttnRoute *route) {
    int device, major;
    int rc = (int)cudaGetDevice(&device);
    if (!rc) rc = (int)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (!rc && major < 9) *route = AttnRoute::generic;
    return rc;
}

/* Head dimensions of attn_prefill and attn_team. */
static bool is_common(uint32_t head_dim) {
    return head_dim == 64 || head_dim == 128;
}

int pgd_k_attn_init(const pgd_k_attn_limits *l) {
    if (!attn_supported(l)) return (int)cudaErrorInvalidValue;
    AttnRoute route = AttnRoute::automatic;
    int rc = choose_route(&route);
    if (!rc && route == AttnRoute::automatic) rc = attn_decode_init(l->type, l->head_dim);
    if (!rc && route == AttnRoute::automatic && is_common(l->head_dim)) {
        rc = attn_team_init(l->type, l->head_dim);
        if (!rc) rc = attn_prefill_init(l->type, l->head_dim);
    }
    return rc ? rc : attn_generic_init(l->type, l->head_dim);
}

/* --- planner --- */

struct PlanParams {
    const pgd_plan_seq *seq;
    AttnCounts *counts;
    AttnItem *items;
    AttnTile *tiles;
    uint32_t *tickets;
    uint32_t n_seq, n_heads, n_kv_heads, group, window;
    uint32_t decode_rows; /* sequences of at most so many rows are decoded */
    uint32_t tile_rows, split_rows, n_tickets;
};

/* Sum of v over the threads before this one; *total over all. */
static __device__ uint32_t scan_before(uint32_t v, uint32_t *total) {
    __shared__ uint32_t sums[32];
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t sum = v;
    for (int d = 1; d < 32; d *= 2) {
        const uint32_t below = __shfl_up_sync(0xffffffff, sum, d);
        if (lane >= (uint32_t)d) sum += below;
    }
    if (lane == 31) sums[warp] = sum;
    __syncthreads();
    if (warp == 0) {
        uint32_t s = sums[lane];
        for (int d = 1; d < 32; d *= 2) {
            const uint32_t below = __shfl_up_sync(0xffffffff, s, d);
            if (lane >= (uint32_t)d) s += below;
        }
        sums[lane] = s;
    }
    __syncthreads();
    const uint32_t before = (warp ? sums[warp - 1] : 0) + sum - v;
    *total = sums[31];
    __syncthreads();
    return before;
}

static __device__ bool decoded(const PlanParams &p, const pgd_plan_seq &s) {
    return s.n_new && s.n_new * p.group <= p.decode_rows;
}

static __device__ void list_items(const PlanParams &p) {
    uint32_t n_items = 0, n_rows = 0;
    for (uint32_t from = 0; from < p.n_seq; from += kPlanThreads) {
        const uint32_t i = from + threadIdx.x;
        pgd_plan_seq s = {};
        if (i < p.n_seq) s = p.seq[i];
        uint32_t chunks = 0, first = 0;
        if (i < p.n_seq && decoded(p, s)) {
            first = attn_first_key(s.kv_start, p.window) / kChunk;
            chunks = (s.kv_start + s.n_new - 1) / kChunk + 1 - first;
        }
        uint32_t total;
        const uint32_t step = s.n_new * p.n_heads; /* rows of a chunk */
        uint32_t row = chunks > 1 ? chunks * step : 0;
        const uint32_t want = row;
        row = n_rows + scan_before(want, &total);
        n_rows += total;
        /* Sums may wrap only after they passed the limit by far; rows of one sequence cannot. */
        const bool whole = chunks > 1 && (row > p.split_rows || want > p.split_rows - row);
        const uint32_t listed = whole ? 1 : chunks;
        uint32_t at = n_items + scan_before(listed, &total);
        n_items += total;
        for (uint32_t c = 0; c < listed; c++) {
            AttnItem item;
            item.seq = i;
            item.chunk = first + c;
            item.partial = whole ? p.split_rows + i * kDecodeRows * p.n_kv_heads : row + c * step;
            item.whole = whole;
            item.slot = s.slot;
            item.q_start = s.q_start;
            item.n_new = s.n_new;
            item.kv_start = s.kv_start;
            p.items[at + c] = item;
        }
    }
    if (threadIdx.x == 0) p.counts->n_items = n_items;
}

/* Bins of the number of keys, most keys first, an eighth of a power of two wide. */
static __device__ uint32_t bin_of(uint32_t units) {
    const uint32_t e = 31 - __clz((int)units);
    return kBins - 1 - min(kBins - 1, e * 8 + ((units << 3 >> e) & 7));
}

static __device__ uint32_t tile_bin(const PlanParams &p, const pgd_plan_seq &s, uint32_t row) {
    const uint32_t end = min(row + p.tile_rows, s.n_new * p.group);
    const uint32_t first = attn_first_key(s.kv_start + row / p.group, p.window) / kUnit;
    return bin_of((s.kv_start + (end - 1) / p.group) / kUnit + 1 - first);
}

/* A counting sort; the order within a bin is any, and changes no bits. */
static __device__ void list_tiles(const PlanParams &p) {
    __shared__ uint32_t bins[kBins];
    if (threadIdx.x < kBins) bins[threadIdx.x] = 0;
    __syncthreads();
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = warp; i < p.n_seq; i += kPlanThreads / 32) {
            const pgd_plan_seq s = p.seq[i];
            if (!s.n_new || decoded(p, s)) continue;
            for (uint32_t row = lane * p.tile_rows; row < s.n_new * p.group;
                 row += 32 * p.tile_rows) {
                const uint32_t at = atomicAdd(&bins[tile_bin(p, s, row)], 1);
                if (pass) p.tiles[at] = {i, row};
            }
        }
        __syncthreads();
        if (pass) break;
        uint32_t total;
        const uint32_t count = threadIdx.x < kBins ? bins[threadIdx.x] : 0;
        const uint32_t before = scan_before(count, &total);
        if (threadIdx.x < kBins) bins[threadIdx.x] = before;
        if (threadIdx.x == 0) p.counts->n_tiles = total;
        __syncthreads();
    }
}

static __global__ void __launch_bounds__(kPlanThreads) attn_plan(const PlanParams p) {
    let_next_start();
    wait_for_previous();
    for (uint32_t i = threadIdx.x; i < p.n_tickets; i += kPlanThreads)
        p.tickets[i] = 0;
    list_items(p);
    list_tiles(p);
}

/* --- calls --- */

/* What both calls derive from the route: the kernels of one step must agree on it. */
struct RouteShape {
    uint32_t decode_rows, tile_rows;
    bool team, wgmma;
};
static RouteShape route_shape(AttnRoute route, uint32_t head_dim, uint32_t n_seq) {
    RouteShape r;
    const bool any = route == AttnRoute::automatic;
    r.team = is_common(head_dim) && (route == AttnRoute::team || (any && n_seq <= kTeamSeqs));
    r.decode_rows = any || r.team || route == AttnRoute::decode ? kDecodeRows : 0;
    r.wgmma = route != AttnRoute::generic && is_common(head_dim);
    r.tile_rows = r.wgmma ? kPrefillRows : kGenericRows;
    return r;
}

int attn_plan_by(AttnRoute route, const pgd_k_attn_plan *a, cudaStream_t stream) {
    const pgd_k_attn_limits *const l = a->limits;
    if (!attn_supported(l) || a->n_seq > l->max_seqs || a->n_tok > l->max_tokens)
        return (int)cudaErrorInvalidValue;
    const int rc = choose_route(&route);
    if (rc) return rc;
    const AttnSpace s = attn_space(l);
    char *const space = static_cast<char *>(a->space);
    const RouteShape r = route_shape(route, l->head_dim, a->n_seq);
    PlanParams p;
    p.seq = a->seq;
    p.counts = reinterpret_cast<AttnCounts *>(space);
    p.items = reinterpret_cast<AttnItem *>(space + s.items);
    p.tiles = reinterpret_cast<AttnTile *>(space + s.tiles);
    p.tickets = reinterpret_cast<uint32_t *>(space + s.tickets);
    p.n_seq = a->n_seq;
    p.n_heads = l->n_heads;
    p.n_kv_heads = l->n_kv_heads;
    p.group = l->n_heads / l->n_kv_heads;
    p.window = a->window;
    p.decode_rows = r.decode_rows;
    p.tile_rows = r.tile_rows;
    p.split_rows = s.split_rows;
    p.n_tickets = l->max_seqs * l->n_kv_heads + 1;
    return launch_kernel(attn_plan, dim3(1), dim3(kPlanThreads), 0, stream, p);
}

int attn_run_by(AttnRoute route, const pgd_k_attn *a, cudaStream_t stream) {
    const pgd_k_attn_limits *const l = a->limits;
    if (!attn_supported(l) || a->n_seq > l->max_seqs || a->n_tok > l->max_tokens || !(a->scale > 0))
        return (int)cudaErrorInvalidValue;
    if (!a->n_seq || !a->n_tok || !a->max_new) return 0;
    int rc = choose_route(&route);
    if (rc) return rc;
    const AttnSpace s = attn_space(l);
    char *const space = static_cast<char *>(a->space);
    const RouteShape r = route_shape(route, l->head_dim, a->n_seq);
    AttnParams p;
    p.q = a->q;
    p.out = a->out;
    p.kv = static_cast<const char *>(a->kv);
    p.seq = a->seq;
    p.page_table = a->page_table;
    p.counts = reinterpret_cast<const AttnCounts *>(space);
    p.items = reinterpret_cast<const AttnItem *>(space + s.items);
    p.tiles = reinterpret_cast<const AttnTile *>(space + s.tiles);
    p.tickets = reinterpret_cast<uint32_t *>(space + s.tickets);
    p.cursor = p.tickets + (uint64_t)l->max_seqs * l->n_kv_heads;
    p.partial_ml = reinterpret_cast<float2 *>(space + s.partial_ml);
    p.partial_o = reinterpret_cast<float *>(space + s.partial_o);
    p.page_bytes = a->page_bytes;
    p.n_heads = l->n_heads;
    p.n_kv_heads = l->n_kv_heads;
    p.group = l->n_heads / l->n_kv_heads;
    p.window = a->window;
    p.max_pages = a->max_pages;
    p.c = a->scale * 1.44269504088896340736f;

    const uint64_t rows = (uint64_t)a->max_new * p.group;
    if (r.decode_rows) {
        const uint32_t chunks = ceil_div(l->max_pages_per_seq, kChunkUnits);
        rc = (r.team ? attn_team_launch : attn_decode_launch)(
            p, l->type, l->head_dim, (uint32_t)(rows < kDecodeRows ? rows : kDecodeRows),
            a->n_seq * chunks, stream);
    }
    if (rc || rows <= r.decode_rows) return rc;
    const uint32_t tiles = (uint32_t)((uint64_t)a->n_tok * p.group / r.tile_rows) + a->n_seq;
    return r.wgmma ? attn_prefill_launch(p, l->type, l->head_dim, tiles, stream)
                   : attn_generic_launch(p, l->type, l->head_dim, tiles, stream);
}

int pgd_k_run_attn_plan(const pgd_k_attn_plan *a, pgd_stream s) {
    return attn_plan_by(AttnRoute::automatic, a, s);
}

int pgd_k_run_attn(const pgd_k_attn *a, pgd_stream s) {
    return attn_run_by(AttnRoute::automatic, a, s);
}

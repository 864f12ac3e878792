/* What test_attn.cu runs its checks on: a model shape with its sequences, their pages, and golden
 * rows; the kernels that fill, gather and compare. */
#ifndef PAGODA_TESTS_KERNELS_ATTN_CASE_CUH
#define PAGODA_TESTS_KERNELS_ATTN_CASE_CUH

#include "harness.cuh"

#include <memory>
#include <string>

#include "../../kernels/attn.cuh"

/* --- device helpers --- */

static __device__ uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

template <typename T>
static __global__ void fill_random(T *p, size_t n, uint64_t seed, float scale) {
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        p[i] = from_float<T>(scale * (float)((double)(mix(seed + i) >> 40) * 0x1p-23 - 1.0));
}

/* Write positions [from, to) of a slot from k, v [position, n_kv_heads, d] into its pages. */
template <typename T>
static __global__ void fill_pages(char *pages, const int32_t *table, uint64_t page_bytes,
                                  const T *k, const T *v, uint32_t from, uint32_t to,
                                  uint32_t n_kv_heads, uint32_t d) {
    const uint32_t chunks = d / 8;
    const size_t n = (size_t)(to - from) * n_kv_heads * chunks;
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const uint32_t c = (uint32_t)(i % chunks), head = (uint32_t)(i / chunks % n_kv_heads);
        const uint32_t pos = from + (uint32_t)(i / chunks / n_kv_heads);
        char *const at = pages + (uint64_t)table[pos / kPageTokens] * page_bytes +
                         page_head_offset(head, d) + page_chunk_offset(d, pos % kPageTokens, c);
        const size_t src = ((size_t)pos * n_kv_heads + head) * d + 8 * c;
        *reinterpret_cast<uint4 *>(at) = *reinterpret_cast<const uint4 *>(k + src);
        *reinterpret_cast<uint4 *>(at + page_head_bytes(d)) =
            *reinterpret_cast<const uint4 *>(v + src);
    }
}

/* dst[i] = src[map[i]], rows of `width` 2-byte elements; rows of map -1 stay. */
static __global__ void gather_rows(uint16_t *dst, const uint16_t *src, const int32_t *map,
                                   uint32_t n, uint32_t width) {
    for (uint32_t r = blockIdx.x; r < n; r += gridDim.x)
        if (map[r] >= 0)
            for (uint32_t i = threadIdx.x; i < width; i += blockDim.x)
                dst[(size_t)r * width + i] = src[(size_t)map[r] * width + i];
}

struct Difference {
    unsigned long long count, first;
};
/* got[i] against want[map[i]] bit for bit; rows of map -1 must still be poison. */
static __global__ void compare_rows(const uint16_t *got, const uint16_t *want, const int32_t *map,
                                    uint32_t n, uint32_t width, Difference *diff) {
    for (uint32_t r = blockIdx.x; r < n; r += gridDim.x)
        for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
            const size_t at = (size_t)r * width + i;
            const uint16_t w = map[r] >= 0 ? want[(size_t)map[r] * width + i] : (uint16_t)0xffff;
            if (got[at] == w) continue;
            atomicAdd(&diff->count, 1ULL);
            atomicMin(&diff->first, (unsigned long long)at);
        }
}

struct RefRow {
    uint32_t row;      /* in q and out */
    uint32_t kv;       /* first row of the sequence in k and v */
    uint32_t position; /* of the query */
};
struct RefWorst {
    unsigned long long count;
    unsigned long long worst; /* bits of the float ratio, then the element */
};

/* One CTA for each (listed row, head): softmax in float64 and the check of out. scores: room for
 * max_keys of each CTA, in shared memory when NULL. */
template <typename T>
static __global__ void
check_rows(const RefRow *rows, const T *q, const T *k, const T *v, const T *out, uint32_t n_heads,
           uint32_t n_kv_heads, uint32_t d, uint32_t window, double scale, double u, double tiny,
           double *scores, uint32_t max_keys, RefWorst *result, double *detail) {
    extern __shared__ double shared[];
    __shared__ double reduce[128];
    double *const query = shared, *s = shared + d;
    if (scores) s = scores + ((size_t)blockIdx.x * n_heads + blockIdx.y) * max_keys;
    const RefRow r = rows[blockIdx.x];
    const uint32_t head = blockIdx.y, kv_head = head / (n_heads / n_kv_heads);
    const uint32_t first = window && r.position + 1 > window ? r.position + 1 - window : 0;
    const uint32_t n = r.position + 1 - first;
    const size_t at = ((size_t)r.row * n_heads + head) * d;
    for (uint32_t i = threadIdx.x; i < d; i += blockDim.x)
        query[i] = (double)to_float(q[at + i]);
    __syncthreads();
    double most = -1e300;
    for (uint32_t j = threadIdx.x; j < n; j += blockDim.x) {
        const T *const key = k + ((size_t)(r.kv + first + j) * n_kv_heads + kv_head) * d;
        double dot = 0;
        for (uint32_t i = 0; i < d; i++)
            dot += query[i] * (double)to_float(key[i]);
        s[j] = dot * scale;
        most = fmax(most, s[j]);
    }
    reduce[threadIdx.x] = most;
    __syncthreads();
    for (uint32_t i = 0; i < blockDim.x; i++)
        most = fmax(most, reduce[i]);
    __syncthreads();
    double sum = 0;
    for (uint32_t j = threadIdx.x; j < n; j += blockDim.x)
        sum += s[j] = exp(s[j] - most);
    reduce[threadIdx.x] = sum;
    __syncthreads();
    sum = 0;
    for (uint32_t i = 0; i < blockDim.x; i++)
        sum += reduce[i];
    for (uint32_t i = threadIdx.x; i < d; i += blockDim.x) {
        double o = 0, a = 0;
        for (uint32_t j = 0; j < n; j++) {
            const double x =
                (double)to_float(v[((size_t)(r.kv + first + j) * n_kv_heads + kv_head) * d + i]);
            o += s[j] * x;
            a += s[j] * fabs(x);
        }
        o /= sum;
        a /= sum;
        const double tol = a * (u + 0x1p-12) + fabs(o) * u + tiny * (n / sum + 1) + 1e-30;
        const double got = (double)to_float(out[at + i]);
        const double over = fabs(got - o) / tol;
        const float ratio = over <= 1e30 ? (float)over : 1e30f;
        const unsigned long long word = (unsigned long long)__float_as_uint(ratio) << 32 |
                                        (blockIdx.x * n_heads + head) * d + i;
        if (atomicMax(&result->worst, word) < word && detail) {
            detail[0] = got, detail[1] = o, detail[2] = tol; /* roughly of the worst: races */
        }
        if (!(over <= 1)) atomicAdd(&result->count, 1ULL);
    }
}

/* --- one model shape with its sequences --- */

struct Entry {
    uint32_t slot, kv_start, n_new; /* n_new 0: a padded sequence */
};

template <typename T> struct TypeOf;
template <> struct TypeOf<__nv_bfloat16> {
    static constexpr pgd_dtype type = PGD_BF16;
    static constexpr const char *name = "bf16";
    static constexpr double u = 0x1p-8, tiny = 0;
};
template <> struct TypeOf<__half> {
    static constexpr pgd_dtype type = PGD_F16;
    static constexpr const char *name = "f16";
    static constexpr double u = 0x1p-11, tiny = 0x1p-24;
};

static const char *route_name(AttnRoute r) {
    return r == AttnRoute::automatic ? "automatic"
           : r == AttnRoute::generic ? "generic"
           : r == AttnRoute::decode  ? "decode"
           : r == AttnRoute::team    ? "team"
                                     : "prefill";
}

template <typename T> class Case {
  public:
    uint32_t heads, kv_heads, d, window = 0, plan_window = 0;
    std::vector<uint32_t> len, first; /* of each slot: length, first row in q, k, v */
    uint32_t total = 0, max_pages;
    pgd_k_attn_limits limits = {};
    float scale;

    Case(Harness &harness, uint32_t group, uint32_t n_kv_heads, uint32_t head_dim,
         const std::vector<uint32_t> &lengths, uint32_t max_seqs, uint64_t page_stride = 0,
         uint32_t limit_pages = 0)
        : heads(group * n_kv_heads), kv_heads(n_kv_heads), d(head_dim), len(lengths), h(harness) {
        uint32_t pages = 0, longest = 0;
        for (uint32_t n : len) {
            first.push_back(total);
            total += n;
            pages += ceil_div(n, kPageTokens);
            longest = std::max(longest, n);
        }
        max_pages = ceil_div(longest, kPageTokens) + 3;
        pages += 5; /* some are never used */
        page_bytes = page_stride ? page_stride : page_layer_bytes(kv_heads, d);
        scale = 1.0f / sqrtf((float)d);
        limits = {max_seqs,  std::max(total, 2 * max_seqs) + 64,
                  max_pages, limit_pages ? limit_pages : pages,
                  heads,     kv_heads,
                  d,         TypeOf<T>::type};
        CUDA_OK(pgd_k_attn_init(&limits));
        q.reset(new Buffer<T>((size_t)total * heads * d));
        k.reset(new Buffer<T>((size_t)total * kv_heads * d));
        v.reset(new Buffer<T>((size_t)total * kv_heads * d));
        golden.reset(new Buffer<T>((size_t)total * heads * d));
        pool.reset(new Buffer<char>((size_t)pages * page_bytes));
        space.reset(new Buffer<char>(pgd_k_attn_space(&limits)));
        step_q.reset(new Buffer<T>((size_t)limits.max_tokens * heads * d));
        step_out.reset(new Buffer<T>((size_t)limits.max_tokens * heads * d));
        map.reset(new Buffer<int32_t>(limits.max_tokens));
        seqs.reset(new Buffer<pgd_plan_seq>(max_seqs));
        diff.reset(new Buffer<Difference>(1));
        fill_random<<<1024, 256, 0, h.stream>>>(q->get(), q->size(), h.next(), 8.0f);
        fill_random<<<1024, 256, 0, h.stream>>>(k->get(), k->size(), h.next(), 1.0f);
        fill_random<<<1024, 256, 0, h.stream>>>(v->get(), v->size(), h.next(), 1.0f);
        /* a shuffled page table; entries behind the end are wild */
        std::vector<int32_t> ids(pages), all(len.size() * max_pages, 0x7fffffff);
        for (uint32_t i = 0; i < pages; i++)
            ids[i] = (int32_t)i;
        for (uint32_t i = pages; i > 1; i--)
            std::swap(ids[i - 1], ids[h.below(i)]);
        uint32_t next = 0;
        for (size_t s = 0; s < len.size(); s++)
            for (uint32_t i = 0; i < ceil_div(len[s], kPageTokens); i++)
                all[s * max_pages + i] = ids[next++];
        table.reset(new Buffer<int32_t>(all));
        written.assign(len.size(), 0);
        h.sync();
    }

    std::string name() const {
        char text[160];
        snprintf(text, sizeof text, "%s d %u, %u/%u heads, window %u", TypeOf<T>::name, d, heads,
                 kv_heads, window);
        return text;
    }

    /* Pages hold exactly the positions that a step with these entries has written. */
    void write_pages(const std::vector<Entry> &entries) {
        std::vector<uint32_t> need(len.size(), 0);
        for (const Entry &e : entries)
            if (e.n_new) need[e.slot] = std::max(need[e.slot], e.kv_start + e.n_new);
        if (need == written) return;
        CUDA_OK(cudaMemsetAsync(pool->get(), 0xff, pool->size(), h.stream));
        for (size_t s = 0; s < len.size(); s++)
            if (need[s])
                fill_pages<T><<<256, 256, 0, h.stream>>>(
                    pool->get(), table->get() + s * max_pages, page_bytes,
                    k->get() + (size_t)first[s] * kv_heads * d,
                    v->get() + (size_t)first[s] * kv_heads * d, 0, need[s], kv_heads, d);
        written = need;
    }

    /* Queries, sequences and the map from the step's rows to golden rows. */
    void stage(const std::vector<Entry> &entries, uint32_t pad_rows) {
        std::vector<int32_t> rows;
        std::vector<pgd_plan_seq> list;
        max_new = 0;
        for (const Entry &e : entries) {
            pgd_plan_seq s = {};
            s.slot = e.n_new ? e.slot : 0xffffffffu;
            s.q_start = (uint32_t)rows.size();
            s.n_new = e.n_new;
            s.kv_start = e.kv_start;
            list.push_back(s);
            max_new = std::max(max_new, e.n_new);
            for (uint32_t i = 0; i < e.n_new; i++)
                rows.push_back((int32_t)(first[e.slot] + e.kv_start + i));
        }
        rows.insert(rows.end(), pad_rows, -1);
        n_seq = (uint32_t)list.size();
        n_tok = (uint32_t)rows.size();
        if (n_seq > limits.max_seqs || n_tok > limits.max_tokens) {
            fprintf(stderr, "test: %u sequences, %u rows exceed the limits\n", n_seq, n_tok);
            exit(2);
        }
        staged = entries;
        write_pages(entries);
        CUDA_OK(cudaMemcpyAsync(seqs->get(), list.data(), n_seq * sizeof(pgd_plan_seq),
                                cudaMemcpyHostToDevice, h.stream));
        CUDA_OK(cudaMemcpyAsync(map->get(), rows.data(), n_tok * sizeof(int32_t),
                                cudaMemcpyHostToDevice, h.stream));
        step_q->poison();
        gather_rows<<<1024, 256, 0, h.stream>>>((uint16_t *)step_q->get(), (uint16_t *)q->get(),
                                                map->get(), n_tok, heads * d);
        h.sync();
    }

    void plan(AttnRoute route) {
        pgd_k_attn_plan a = {seqs->get(), space->get(), &limits,    n_seq,
                             n_tok,       max_new,      plan_window};
        CUDA_OK(attn_plan_by(route, &a, h.stream));
    }
    void run(AttnRoute route, T *out) {
        pgd_k_attn a = {step_q->get(), out,     pool->get(), seqs->get(), table->get(),
                        space->get(),  &limits, page_bytes,  n_seq,       n_tok,
                        max_new,       window,  max_pages,   scale};
        CUDA_OK(attn_run_by(route, &a, h.stream));
    }
    /* Run the staged step `times` times; the last result is compared. */
    void step(AttnRoute route, const char *what, int times = 1) {
        step_out->poison();
        plan(route);
        for (int i = 0; i < times; i++)
            run(route, step_out->get());
        compare(route, what);
    }
    void compare(AttnRoute route, const char *what) {
        CUDA_OK(
            cudaMemcpyAsync(diff->get(), &kNone, sizeof kNone, cudaMemcpyHostToDevice, h.stream));
        compare_rows<<<1024, 256, 0, h.stream>>>((uint16_t *)step_out->get(),
                                                 (uint16_t *)golden->get(), map->get(), n_tok,
                                                 heads * d, diff->get());
        h.sync();
        const Difference result = diff->download()[0];
        h.check(true, what);
        if (!result.count) return;
        const size_t width = (size_t)heads * d;
        const uint32_t row = (uint32_t)(result.first / width), i = (uint32_t)(result.first % width);
        uint32_t e = 0, at = 0;
        while (e < staged.size() && at + staged[e].n_new <= row)
            at += staged[e++].n_new;
        const int32_t source = map->download()[row];
        const T got = step_out->download()[result.first];
        const T want = source >= 0 ? golden->download()[(size_t)source * width + i] : got;
        if (e == staged.size())
            h.fail("%s, %s, %s: %llu values written to padded rows; row %u", name().c_str(),
                   route_name(route), what, result.count, row);
        else
            h.fail(
                "%s, %s, %s: %llu of %llu values differ from golden; first in entry %u (kv_start "
                "%u, n_new %u) position %u head %u element %u: %.9g (%04x), golden %.9g (%04x)",
                name().c_str(), route_name(route), what, result.count,
                (unsigned long long)n_tok * width, e, staged[e].kv_start, staged[e].n_new,
                staged[e].kv_start + row - at, i / d, i % d, (double)Harness::to_host(got),
                bits(got), (double)Harness::to_host(want), bits(want));
    }

    /* Golden rows by variant 0, whole sequences; returns after the check against float64. */
    void make_golden() {
        std::vector<Entry> entries;
        for (uint32_t s = 0; s < len.size(); s++)
            entries.push_back({s, 0, len[s]});
        stage(entries, 0);
        golden->poison();
        plan(AttnRoute::generic);
        run(AttnRoute::generic, golden->get());
        h.sync();
        std::vector<RefRow> rows;
        for (uint32_t s = 0; s < len.size(); s++)
            for (uint32_t i = 0; i < len[s]; i++)
                if (len[s] <= 130 || i % 37 == 0 || i % 64 == 0 || i % 64 == 63 || i + 3 > len[s])
                    rows.push_back({first[s] + i, first[s], i});
        check(rows, golden->get(), "generic, whole sequences, against float64");
    }
    void check(const std::vector<RefRow> &rows, const T *out, const char *what) {
        uint32_t most = 0;
        for (const RefRow &r : rows)
            most = std::max(most, r.position + 1);
        Buffer<RefRow> list(rows);
        const RefWorst zero = {0, 0};
        Buffer<RefWorst> result(std::vector<RefWorst>(1, zero));
        Buffer<double> detail(3);
        const bool big = most > 5000;
        Buffer<double> scores(big ? rows.size() * heads * most : 1);
        check_rows<T>
            <<<dim3((uint32_t)rows.size(), heads), 128, (d + (big ? 0 : most)) * sizeof(double),
               h.stream>>>(list.get(), q->get(), k->get(), v->get(), out, heads, kv_heads, d,
                           window, (double)scale, TypeOf<T>::u, TypeOf<T>::tiny,
                           big ? scores.get() : nullptr, most, result.get(), detail.get());
        h.sync();
        const RefWorst r = result.download()[0];
        const uint32_t element = (uint32_t)r.worst, word = (uint32_t)(r.worst >> 32);
        float ratio;
        memcpy(&ratio, &word, 4);
        worst_ratio = std::max(worst_ratio, (double)ratio);
        h.check(true, what);
        if (!r.count) return;
        const RefRow &row = rows[element / d / heads];
        const std::vector<double> x = detail.download();
        h.fail("%s, %s: %llu of %llu values out of tolerance; worst %.3g tolerances at row %u "
               "(position %u) head %u element %u; got %.9g, expected %.9g +- %.3g",
               name().c_str(), what, r.count, (unsigned long long)rows.size() * heads * d,
               (double)ratio, row.row, row.position, element / d % heads, element % d, x[0], x[1],
               x[2]);
    }
    void guards() {
        h.check(step_out->guards_intact() && golden->guards_intact() && space->guards_intact() &&
                    pool->guards_intact(),
                (name() + ": memory around a buffer was written").c_str());
    }
    void tickets_clean() {
        const AttnSpace s = attn_space(&limits);
        std::vector<uint32_t> t((size_t)limits.max_seqs * kv_heads + 1); /* and the cursor */
        CUDA_OK(
            cudaMemcpy(t.data(), space->get() + s.tickets, t.size() * 4, cudaMemcpyDeviceToHost));
        h.check(std::all_of(t.begin(), t.end(), [](uint32_t x) { return x == 0; }),
                (name() + ": a ticket counter is not zero after the launch").c_str());
    }

    std::unique_ptr<Buffer<T>> q, k, v, golden, step_q, step_out;
    std::unique_ptr<Buffer<char>> pool, space;
    std::unique_ptr<Buffer<int32_t>> table, map;
    std::unique_ptr<Buffer<pgd_plan_seq>> seqs;
    std::unique_ptr<Buffer<Difference>> diff;
    uint64_t page_bytes;
    uint32_t n_seq = 0, n_tok = 0, max_new = 0;
    double worst_ratio = 0;

  private:
    static constexpr Difference kNone = {0, ~0ULL};
    static uint16_t bits(T v) {
        uint16_t b;
        memcpy(&b, &v, 2);
        return b;
    }
    Harness &h;
    std::vector<uint32_t> written;
    std::vector<Entry> staged;
};

#endif

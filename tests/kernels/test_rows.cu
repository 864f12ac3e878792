/* embed, gather, norm, qkv_post and kv_copy against float64 references, with the checks that every
 * kernel gets: bits do not depend on the number of rows or the place in the batch, nothing outside
 * the outputs is written, a graph replay gives the bits of a plain launch. */
#include "harness.cuh"

#include <string>

#include "../../kernels/page.cuh"

static const char *type_name(pgd_dtype t) {
    return t == PGD_BF16 ? "bf16" : t == PGD_F16 ? "f16" : "f32";
}
template <typename T> static pgd_dtype type_of();
template <> pgd_dtype type_of<float>() {
    return PGD_F32;
}
template <> pgd_dtype type_of<__nv_bfloat16>() {
    return PGD_BF16;
}
template <> pgd_dtype type_of<__half>() {
    return PGD_F16;
}

/* Rounding error of a value v stored as T, and what ops.h allows: 2^-20 of `size`. */
template <typename T> static double tolerance(double v, double size) {
    const double round = type_of<T>() == PGD_F32 ? 0 : type_of<T>() == PGD_BF16 ? 0x1p-8 : 0x1p-11;
    return fabs(v) * round + size * 0x1p-20 + (type_of<T>() == PGD_F16 ? 0x1p-24 : 1e-37);
}

/* Launch once through a graph. */
static void replay(Harness &h, const std::function<void()> &launch) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_OK(cudaStreamBeginCapture(h.stream, cudaStreamCaptureModeThreadLocal));
    launch();
    CUDA_OK(cudaStreamEndCapture(h.stream, &graph));
    CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
    CUDA_OK(cudaGraphLaunch(exec, h.stream));
    h.sync();
    CUDA_OK(cudaGraphExecDestroy(exec));
    CUDA_OK(cudaGraphDestroy(graph));
}

static std::string label(const char *fmt, ...) {
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return text;
}

/* --- embed, gather --- */

template <typename T>
static void check_embed(Harness &h, uint32_t vocab, uint32_t d, uint32_t n, bool gather) {
    const std::string what = label("%s %s vocab %u d %u n %u", gather ? "gather" : "embed",
                                   type_name(type_of<T>()), vocab, d, n);
    const std::vector<T> table = h.random_values<T>((size_t)vocab * d);
    std::vector<int32_t> ids(n);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = h.below(8) == 0 ? -1 : (int32_t)h.below(vocab);
    ids[n - 1] = (int32_t)vocab - 1;
    std::vector<float> want((size_t)n * d, 0.0f);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < d && ids[i] >= 0; k++)
            want[(size_t)i * d + k] = Harness::to_host(table[(size_t)ids[i] * d + k]);
    Buffer<T> dev_table(table);
    Buffer<int32_t> dev_ids(ids);
    Buffer<float> y((size_t)n * d);
    const auto launch = [&] {
        if (gather) {
            const pgd_k_gather a = {reinterpret_cast<const float *>(dev_table.get()), dev_ids.get(),
                                    y.get(), n, d};
            CUDA_OK(pgd_k_run_gather(&a, h.stream));
        } else {
            const pgd_k_embed a = {dev_table.get(), dev_ids.get(), y.get(), type_of<T>(), n, d};
            CUDA_OK(pgd_k_run_embed(&a, h.stream));
        }
    };
    launch();
    h.sync();
    h.same(what.c_str(), y.download().data(), want.data(), want.size() * sizeof(float));
    y.poison();
    replay(h, launch);
    h.same((what + ", graph").c_str(), y.download().data(), want.data(),
           want.size() * sizeof(float));
    h.check(y.guards_intact() && dev_table.guards_intact(), (what + ": guards").c_str());
}

/* --- norm --- */

template <typename T>
static std::vector<T> run_norm(Harness &h, const Buffer<float> &x, const Buffer<float> &w,
                               size_t at, uint32_t n, uint32_t d, float eps,
                               const std::string &what) {
    Buffer<T> y((size_t)n * d);
    const pgd_k_norm a = {x.get() + at, w.get(), y.get(), type_of<T>(), n, d, eps};
    CUDA_OK(pgd_k_run_norm(&a, h.stream));
    h.sync();
    h.check(y.guards_intact(), (what + ": guards").c_str());
    return y.download();
}

template <typename T> static void check_norm(Harness &h, uint32_t d, uint32_t n) {
    const std::string what = label("norm %s d %u n %u", type_name(type_of<T>()), d, n);
    const float eps = 1e-5f;
    std::vector<float> x = h.random_values<float>((size_t)n * d, 4.0f);
    const std::vector<float> w = h.random_values<float>(d, 2.0f);
    for (uint32_t k = 0; k < d; k++) /* the first row: one outlier; the last: tiny */
        x[(size_t)(n - 1) * d + k] *= 1e-4f;
    x[d / 2] = 1000.0f;
    std::vector<double> want(x.size()), tol(x.size());
    for (uint32_t i = 0; i < n; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < d; k++)
            sum += (double)x[(size_t)i * d + k] * x[(size_t)i * d + k];
        const double scale = 1 / sqrt(sum / d + (double)eps);
        for (uint32_t k = 0; k < d; k++) {
            const size_t e = (size_t)i * d + k;
            want[e] = x[e] * scale * w[k];
            tol[e] = tolerance<T>(want[e], fabs(want[e]));
        }
    }
    Buffer<float> dev_x(x), dev_w(w);
    const std::vector<T> all = run_norm<T>(h, dev_x, dev_w, 0, n, d, eps, what);
    h.near(what.c_str(), all, want, tol);
    const uint32_t row = h.below(n);
    const std::vector<T> alone = run_norm<T>(h, dev_x, dev_w, (size_t)row * d, 1, d, eps, what);
    h.same((what + ": a row alone").c_str(), alone.data(), all.data() + (size_t)row * d,
           d * sizeof(T));
    if (type_of<T>() == PGD_F32) { /* in place, through a graph */
        replay(h, [&] {
            const pgd_k_norm a = {dev_x.get(), dev_w.get(), dev_x.get(), PGD_F32, n, d, eps};
            CUDA_OK(pgd_k_run_norm(&a, h.stream));
        });
        h.same((what + ": in place").c_str(), dev_x.download().data(), all.data(),
               all.size() * sizeof(T));
    }
    h.check(dev_x.guards_intact(), (what + ": guards of x").c_str());
}

/* --- qkv_post --- */

struct QkvShape {
    uint32_t n_heads, n_kv_heads, head_dim, rotary_dim;
    bool norms;
};

/* A step of random sequences: who sits where. */
struct Step {
    std::vector<pgd_plan_seq> seq;
    std::vector<int32_t> pos, tok_seq, page_table;
    uint32_t n_pages, max_pages;
};

static Step random_step(Harness &h, uint32_t n, uint32_t max_position) {
    Step s;
    const uint32_t n_slots = 7;
    s.max_pages = (max_position + kPageTokens - 1) / kPageTokens;
    s.page_table.assign((size_t)n_slots * s.max_pages, -1);
    uint32_t slot = 0, next_page = 1;
    while (s.pos.size() < n) {
        const uint32_t left = n - (uint32_t)s.pos.size();
        pgd_plan_seq q = {};
        q.slot = n_slots - 1 - slot++;
        q.q_start = (uint32_t)s.pos.size();
        q.n_new = slot == n_slots ? left : 1 + h.below(left);
        if (q.n_new > max_position / 2) q.n_new = max_position / 2;
        q.kv_start = h.below(max_position - q.n_new + 1);
        if (slot == 1) q.kv_start = max_position - q.n_new; /* the last position of all */
        for (uint32_t p = q.kv_start / kPageTokens; p <= (q.kv_start + q.n_new - 1) / kPageTokens;
             p++)
            s.page_table[(size_t)q.slot * s.max_pages + p] = (int32_t)next_page++;
        for (uint32_t j = 0; j < q.n_new; j++) {
            s.pos.push_back((int32_t)(q.kv_start + j));
            s.tok_seq.push_back((int32_t)s.seq.size());
        }
        s.seq.push_back(q);
        if (slot == n_slots) break;
    }
    while (s.pos.size() < n) { /* padding */
        s.pos.push_back(-1);
        s.tok_seq.push_back(-1);
    }
    s.n_pages = next_page + 1;
    return s;
}

template <typename T> struct QkvRun {
    std::vector<T> q;
    std::vector<unsigned char> kv;
};

template <typename T>
static QkvRun<T> run_qkv(Harness &h, const QkvShape &sh, const Step &s,
                         const std::vector<float> &qkv, const std::vector<float> &norms,
                         const std::vector<float> &tables, const std::vector<uint32_t> &order,
                         uint64_t page_bytes, const std::string &what, bool graph) {
    const size_t width = (size_t)(sh.n_heads + 2 * sh.n_kv_heads) * sh.head_dim;
    const size_t q_width = (size_t)sh.n_heads * sh.head_dim;
    const uint32_t n = (uint32_t)order.size();
    std::vector<float> x(n * width);
    std::vector<int32_t> pos(n), tok_seq(n);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(x.data() + i * width, qkv.data() + order[i] * width, width * sizeof(float));
        pos[i] = s.pos[order[i]];
        tok_seq[i] = s.tok_seq[order[i]];
    }
    Buffer<float> dx(x), dn(norms), dt(tables);
    Buffer<int32_t> dpos(pos), dseq(tok_seq), dpages(s.page_table);
    Buffer<pgd_plan_seq> dplan(s.seq);
    Buffer<T> q(n * q_width);
    Buffer<unsigned char> kv((size_t)s.n_pages * page_bytes);
    pgd_k_qkv_post a = {};
    a.qkv = dx.get();
    a.q_norm = sh.norms ? dn.get() : nullptr;
    a.k_norm = sh.norms ? dn.get() + sh.head_dim : nullptr;
    a.cos = dt.get();
    a.sin = dt.get() + tables.size() / 2;
    a.q = q.get();
    a.kv = kv.get();
    a.pos = dpos.get();
    a.tok_seq = dseq.get();
    a.seq = dplan.get();
    a.page_table = dpages.get();
    a.page_bytes = page_bytes;
    a.type = type_of<T>();
    a.n = n;
    a.max_pages = s.max_pages;
    a.n_heads = sh.n_heads;
    a.n_kv_heads = sh.n_kv_heads;
    a.head_dim = sh.head_dim;
    a.rotary_dim = sh.rotary_dim;
    a.eps = 1e-6f;
    const auto launch = [&] { CUDA_OK(pgd_k_run_qkv_post(&a, h.stream)); };
    if (graph)
        replay(h, launch);
    else
        launch();
    h.sync();
    h.check(q.guards_intact() && kv.guards_intact(), (what + ": guards").c_str());
    QkvRun<T> r = {q.download(), kv.download()};
    if (n < s.pos.size() || order[0] == 0) return r;
    std::vector<T> sorted(r.q.size());
    for (uint32_t i = 0; i < n; i++)
        memcpy(sorted.data() + order[i] * q_width, r.q.data() + i * q_width, q_width * sizeof(T));
    r.q = sorted;
    return r;
}

/* One head in float64, in place; size: the largest element after the norm. */
static double head_reference(std::vector<double> &v, const float *norm, const float *cos,
                             const float *sin, uint32_t half) {
    double sum = 0, size = 0;
    for (double e : v)
        sum += e * e;
    if (norm)
        for (size_t i = 0; i < v.size(); i++)
            v[i] *= norm[i] / sqrt(sum / (double)v.size() + 1e-6f);
    for (double e : v)
        size = std::max(size, fabs(e));
    for (uint32_t i = 0; i < half; i++) {
        const double a = v[i], b = v[i + half];
        v[i] = a * cos[i] - b * sin[i];
        v[i + half] = b * cos[i] + a * sin[i];
    }
    return size;
}

/* What one step should leave, element by element beside what it left. */
template <typename T> struct QkvPairs {
    std::vector<double> q_want, q_tol, kv_want, kv_tol;
    std::vector<T> q_got, kv_got;
    std::vector<unsigned char> rest; /* the pages, 0xff where an element belongs */
};

template <typename T>
static void pair_page(QkvPairs<T> &p, const QkvRun<T> &got, uint32_t d, size_t head_at,
                      uint32_t token) {
    for (uint32_t c = 0; c < d / 8; c++) {
        const size_t at = head_at + page_chunk_offset(d, token, c);
        T e[8];
        memcpy(e, got.kv.data() + at, 16);
        p.kv_got.insert(p.kv_got.end(), e, e + 8);
        memset(p.rest.data() + at, 0xff, 16);
    }
}

template <typename T>
static QkvPairs<T> pair_up(const QkvShape &sh, const Step &s, const std::vector<float> &qkv,
                           const std::vector<float> &norms, const std::vector<float> &tables,
                           uint64_t page_bytes, const QkvRun<T> &got) {
    const uint32_t d = sh.head_dim, half = sh.rotary_dim / 2;
    const uint32_t n_heads = sh.n_heads + 2 * sh.n_kv_heads;
    QkvPairs<T> p;
    p.rest = got.kv;
    for (uint32_t t = 0; t < s.pos.size(); t++) {
        if (s.tok_seq[t] < 0) continue;
        const uint32_t pos = (uint32_t)s.pos[t], slot = s.seq[(size_t)s.tok_seq[t]].slot;
        const float *cos = tables.data() + (size_t)pos * half;
        const size_t page = (size_t)s.page_table[(size_t)slot * s.max_pages + pos / kPageTokens];
        for (uint32_t head = 0; head < n_heads; head++) {
            const float *x = qkv.data() + ((size_t)t * n_heads + head) * d;
            const bool is_q = head < sh.n_heads, is_v = head >= sh.n_heads + sh.n_kv_heads;
            std::vector<double> v(x, x + d);
            double size = 0;
            if (!is_v)
                size = head_reference(v, sh.norms ? norms.data() + (is_q ? 0 : d) : nullptr, cos,
                                      cos + tables.size() / 2, half);
            for (uint32_t e = 0; e < d; e++) {
                (is_q ? p.q_want : p.kv_want).push_back(v[e]);
                (is_q ? p.q_tol : p.kv_tol).push_back(tolerance<T>(v[e], size));
            }
            const T *q = got.q.data() + ((size_t)t * sh.n_heads + head) * d;
            const uint32_t kv_head = (head - sh.n_heads) % sh.n_kv_heads;
            if (is_q)
                p.q_got.insert(p.q_got.end(), q, q + d);
            else
                pair_page(p, got, d,
                          page * page_bytes + page_head_offset(kv_head, d) +
                              (is_v ? page_head_bytes(d) : 0),
                          pos % kPageTokens);
        }
    }
    return p;
}

static bool untouched(const void *p, size_t bytes) {
    const unsigned char *b = static_cast<const unsigned char *>(p);
    return std::all_of(b, b + bytes, [](unsigned char e) { return e == 0xff; });
}

template <typename T>
static void check_qkv(Harness &h, const QkvShape &sh, uint32_t n, uint32_t max_position) {
    const std::string what =
        label("qkv_post %s heads %u/%u d %u rotary %u%s n %u", type_name(type_of<T>()), sh.n_heads,
              sh.n_kv_heads, sh.head_dim, sh.rotary_dim, sh.norms ? " norms" : "", n);
    const uint32_t d = sh.head_dim, half = sh.rotary_dim / 2;
    const size_t q_width = (size_t)sh.n_heads * d;
    const Step s = random_step(h, n, max_position);
    const std::vector<float> qkv =
        h.random_values<float>((size_t)n * (sh.n_heads + 2 * sh.n_kv_heads) * d, 8.0f);
    const std::vector<float> norms = h.random_values<float>(2 * d, 2.0f);
    const std::vector<float> tables =
        h.random_values<float>(std::max<size_t>((size_t)2 * max_position * half, 2));
    const uint64_t page_bytes = page_layer_bytes(sh.n_kv_heads, d) + 64; /* gaps stay untouched */
    std::vector<uint32_t> order(n);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    const QkvRun<T> got = run_qkv<T>(h, sh, s, qkv, norms, tables, order, page_bytes, what, false);
    const QkvPairs<T> p = pair_up(sh, s, qkv, norms, tables, page_bytes, got);
    h.near((what + ": q").c_str(), p.q_got, p.q_want, p.q_tol);
    h.near((what + ": pages").c_str(), p.kv_got, p.kv_want, p.kv_tol);
    h.check(untouched(p.rest.data(), p.rest.size()),
            (what + ": wrote elsewhere in the pages").c_str());
    for (uint32_t t = 0; t < n; t++)
        if (s.tok_seq[t] < 0)
            h.check(untouched(got.q.data() + t * q_width, q_width * sizeof(T)),
                    (what + ": wrote q of a padded token").c_str());

    /* the tokens in reverse, through a graph: the same bits everywhere */
    std::reverse(order.begin(), order.end());
    const QkvRun<T> back = run_qkv<T>(h, sh, s, qkv, norms, tables, order, page_bytes, what, n > 1);
    h.same((what + ": q reversed").c_str(), back.q.data(), got.q.data(), got.q.size() * sizeof(T));
    h.same((what + ": pages reversed").c_str(), back.kv.data(), got.kv.data(), got.kv.size());
    const uint32_t one = h.below(n);
    if (s.tok_seq[one] < 0) return;
    const QkvRun<T> alone =
        run_qkv<T>(h, sh, s, qkv, norms, tables, {one}, page_bytes, what, false);
    h.same((what + ": a token alone").c_str(), alone.q.data(), got.q.data() + one * q_width,
           q_width * sizeof(T));
}

/* --- kv_copy --- */

static void check_kv_copy(Harness &h, uint32_t n_kv_heads, uint32_t d, uint32_t n_copy) {
    const std::string what = label("kv_copy heads %u d %u copies %u", n_kv_heads, d, n_copy);
    const uint32_t n_layers = 3, n_pages = 3 * n_copy + 1;
    const uint64_t page_bytes = page_layer_bytes(n_kv_heads, d) + 32;
    std::vector<unsigned char> kv((size_t)n_layers * n_pages * page_bytes);
    for (auto &b : kv)
        b = (unsigned char)h.next();
    std::vector<pgd_plan_copy> copies(n_copy);
    for (uint32_t i = 0; i < n_copy; i++)
        copies[i] = {3 * i + h.below(2), 3 * i + 2, i == 0 ? 64 : 1 + h.below(64), 0};
    std::vector<unsigned char> want = kv;
    for (const pgd_plan_copy &c : copies)
        for (uint32_t l = 0; l < n_layers; l++)
            for (uint32_t head = 0; head < 2 * n_kv_heads; head++)
                for (uint32_t t = 0; t < c.n_tokens; t++)
                    for (uint32_t k = 0; k < d / 8; k++) {
                        const size_t at = page_head_offset(head / 2, d) +
                                          (head % 2 ? page_head_bytes(d) : 0) +
                                          page_chunk_offset(d, t, k);
                        memcpy(want.data() + ((size_t)l * n_pages + c.dst) * page_bytes + at,
                               kv.data() + ((size_t)l * n_pages + c.src) * page_bytes + at, 16);
                    }
    Buffer<unsigned char> dev(kv);
    Buffer<pgd_plan_copy> list(copies);
    const pgd_k_kv_copy a = {dev.get(), list.get(), page_bytes, PGD_BF16, n_copy,
                             n_layers,  n_pages,    n_kv_heads, d};
    CUDA_OK(pgd_k_run_kv_copy(&a, h.stream));
    h.sync();
    h.same(what.c_str(), dev.download().data(), want.data(), want.size());
    h.check(dev.guards_intact(), (what + ": guards").c_str());
}

/* --- bench --- */

static void bench_rows(Harness &h, uint32_t n, uint32_t d) {
    const uint32_t vocab = 32000, sets = n > 256 ? 8 : 64; /* more than the L2 cache */
    Buffer<__nv_bfloat16> table((size_t)vocab * d), y((size_t)n * d * sets);
    Buffer<float> x((size_t)n * d * sets), w(d);
    CUDA_OK(cudaMemset(table.get(), 0x3c, (size_t)vocab * d * 2));
    CUDA_OK(cudaMemset(w.get(), 0x3c, d * 4));
    std::vector<int32_t> ids((size_t)n * sets);
    for (auto &i : ids)
        i = (int32_t)h.below(vocab);
    Buffer<int32_t> dev_ids(ids);
    const std::string shape = label("%u x %u", n, d);
    double us = h.time_us([&](int i) {
        const size_t set = (size_t)i % sets;
        const pgd_k_embed a = {
            table.get(), dev_ids.get() + set * n, x.get() + set * n * d, PGD_BF16, n, d};
        CUDA_OK(pgd_k_run_embed(&a, h.stream));
    });
    h.report("embed bf16", shape.c_str(), us, (double)n * d * 6, 0);
    us = h.time_us([&](int i) {
        const size_t set = (size_t)i % sets;
        const pgd_k_norm a = {
            x.get() + set * n * d, w.get(), y.get() + set * n * d, PGD_BF16, n, d, 1e-5f};
        CUDA_OK(pgd_k_run_norm(&a, h.stream));
    });
    h.report("norm to bf16", shape.c_str(), us, (double)n * d * 6, 0);
}

static void bench_qkv(Harness &h, uint32_t n) {
    const uint32_t heads = 32, kv_heads = 8, d = 128, sets = n > 256 ? 4 : 32, max_position = 8192;
    const size_t width = (size_t)(heads + 2 * kv_heads) * d;
    const uint64_t page_bytes = page_layer_bytes(kv_heads, d);
    const uint32_t per_seq = n > 64 ? n : 1, n_seq = n / per_seq;
    const uint32_t pages = ceil_div(per_seq + 63, kPageTokens) + 1;
    Buffer<float> qkv(n * width * sets), table((size_t)2 * max_position * d / 2);
    CUDA_OK(cudaMemset(qkv.get(), 0x3c, n * width * sets * 4));
    CUDA_OK(cudaMemset(table.get(), 0x3c, table.size() * 4));
    Buffer<__nv_bfloat16> q((size_t)n * heads * d);
    Buffer<unsigned char> kv((size_t)n_seq * pages * page_bytes);
    std::vector<pgd_plan_seq> seq(n_seq);
    std::vector<int32_t> pos(n), tok_seq(n), page_table((size_t)n_seq * 128);
    for (uint32_t i = 0; i < n_seq; i++) {
        seq[i] = {i, i * per_seq, per_seq, 61, 0, -1};
        for (uint32_t p = 0; p < pages; p++)
            page_table[(size_t)i * 128 + p] = (int32_t)(i * pages + p);
        for (uint32_t j = 0; j < per_seq; j++) {
            pos[i * per_seq + j] = (int32_t)(61 + j);
            tok_seq[i * per_seq + j] = (int32_t)i;
        }
    }
    Buffer<pgd_plan_seq> dseq(seq);
    Buffer<int32_t> dpos(pos), dtok(tok_seq), dpages(page_table);
    pgd_k_qkv_post a = {};
    a.cos = table.get();
    a.sin = table.get() + table.size() / 2;
    a.q = q.get();
    a.kv = kv.get();
    a.pos = dpos.get();
    a.tok_seq = dtok.get();
    a.seq = dseq.get();
    a.page_table = dpages.get();
    a.page_bytes = page_bytes;
    a.type = PGD_BF16;
    a.n = n;
    a.max_pages = 128;
    a.n_heads = heads;
    a.n_kv_heads = kv_heads;
    a.head_dim = a.rotary_dim = d;
    a.eps = 1e-6f;
    for (int norms = 0; norms < 2; norms++) {
        a.q_norm = a.k_norm = norms ? table.get() : nullptr;
        const double us = h.time_us([&](int i) {
            a.qkv = qkv.get() + (size_t)i % sets * n * width;
            CUDA_OK(pgd_k_run_qkv_post(&a, h.stream));
        });
        h.report(norms ? "qkv_post with norms" : "qkv_post",
                 label("%u tokens, 32/8 heads of 128", n).c_str(), us, (double)n * width * 6, 0);
    }
}

template <typename T> static void check_type(Harness &h) {
    const uint32_t dims[] = {1,    7,    8,    100,   576,   896,   1536,
                             4096, 5120, 8192, 16384, 18432, 32768, 40000};
    for (uint32_t d : dims) {
        if (h.quick && d > 4096) continue;
        check_norm<T>(h, d, 1);
        check_norm<T>(h, d, d > 8192 ? 5 : 37);
        check_embed<T>(h, 97, d, 1, false);
        check_embed<T>(h, 97, d, 33, false);
    }
}

template <typename T> static void check_qkv_type(Harness &h) {
    const QkvShape shapes[] = {
        {32, 8, 128, 128, false}, {32, 8, 128, 128, true}, {16, 8, 64, 64, false},
        {16, 16, 80, 32, false},  {9, 3, 96, 96, true},    {8, 4, 256, 256, true},
        {4, 1, 256, 64, false},   {5, 1, 16, 16, true},    {4, 2, 48, 24, true},
        {3, 3, 112, 12, false},   {6, 2, 176, 0, true},    {2, 2, 240, 240, true},
        {7, 7, 32, 6, false},     {14, 2, 64, 64, false}};
    for (const QkvShape &s : shapes) {
        check_qkv<T>(h, s, 1, 300);
        check_qkv<T>(h, s, h.quick ? 9 : 150, 300);
    }
    if (!h.quick) check_qkv<T>(h, {4, 2, 128, 128, true}, 40, 131072);
}

int main(int argc, char **argv) {
    Harness h(argc, argv);
    check_type<float>(h);
    check_type<__nv_bfloat16>(h);
    check_type<__half>(h);
    check_embed<float>(h, 50, 4096, 21, true);
    check_embed<float>(h, 50, 33, 21, true);
    check_qkv_type<__nv_bfloat16>(h);
    check_qkv_type<__half>(h);
    for (uint32_t d : {16u, 48u, 64u, 80u, 96u, 112u, 128u, 256u})
        check_kv_copy(h, 3, d, h.quick ? 2 : 5);
    if (h.bench) {
        h.read_ceiling(); /* prints a line of its own */
        for (uint32_t n : {1u, 64u, 2048u})
            bench_rows(h, n, 4096);
        for (uint32_t n : {1u, 64u, 2048u})
            bench_qkv(h, n);
    }
    return h.finish();
}

/* Op linear: packing against a host packer, every kernel of the table against float64 and, bit for
 * bit, against variant 0, on any m, any position of a row, every epilogue; chains of linears in
 * graphs with programmatic dependence against the same launches one by one. */
#include "cublaslt.cuh"
#include "linear_case.cuh"

namespace {

/* w [n, k] of S (interleaved: rows alternate) packed on the device in two parts, each in pieces of
 * `piece` rows; split: rows of the first part of a stacked matrix. */
template <typename S, typename T>
void device_pack(Harness &h, const std::vector<S> &w, Buffer<T> &dst, uint32_t n, uint32_t k,
                 uint32_t interleave, uint32_t split, uint32_t piece) {
    for (uint32_t part = 0; part < 2; part++) {
        const uint32_t row0 = interleave == 1 && part ? split : 0;
        const uint32_t rows = interleave == 2 ? n / 2 : (part ? n - split : split);
        for (uint32_t first = 0; first < rows; first += piece) {
            const uint32_t count = std::min(piece, rows - first);
            std::vector<S> src((size_t)count * k);
            for (uint32_t i = 0; i < count; i++) {
                const uint32_t r = interleave == 2 ? 2 * (first + i) + part : row0 + first + i;
                std::copy_n(w.begin() + (size_t)r * k, k, src.begin() + (size_t)i * k);
            }
            Buffer<S> staged(src);
            pgd_k_pack a = {};
            a.src = staged.get();
            a.dst = dst.get();
            a.src_type = type_of<S>();
            a.type = type_of<T>();
            a.first = first, a.rows = count, a.row0 = row0;
            a.part = interleave == 2 ? part : 0;
            a.interleave = interleave, a.n = n, a.k = k;
            CUDA_OK(pgd_k_run_pack(&a, h.stream));
            h.sync();
        }
    }
}

template <typename S, typename T> void test_pack(Harness &h) {
    const struct {
        uint32_t n, k, interleave, split, piece;
    } cases[] = {{16, 16, 1, 8, 100}, {32, 64, 2, 0, 100},  {70, 50, 1, 23, 7},
                 {46, 33, 2, 0, 5},   {1, 1, 1, 1, 1},      {130, 200, 1, 64, 16},
                 {96, 136, 2, 0, 11}, {257, 1000, 1, 1, 99}};
    for (const auto &c : cases) {
        const std::vector<S> w = h.random_values<S>((size_t)c.n * c.k, 3.0f);
        std::vector<T> rounded(w.size());
        for (size_t i = 0; i < w.size(); i++)
            rounded[i] = Harness::from_host<T>(Harness::to_host(w[i]));
        const std::vector<T> want = host_pack(rounded, c.n, c.k, c.interleave);
        Buffer<T> dst(want.size());
        device_pack(h, w, dst, c.n, c.k, c.interleave, c.split, c.piece);
        char what[128];
        snprintf(what, sizeof what, "pack %ux%u interleave %u split %u piece %u types %d -> %d",
                 c.n, c.k, c.interleave, c.split, c.piece, type_of<S>(), type_of<T>());
        h.same(what, dst.download().data(), want.data(), want.size() * 2);
        h.check(dst.guards_intact(), "guards of packed weights");
    }
}

template <typename T> void test_dummy(Harness &h) {
    for (uint32_t interleave = 1; interleave <= 2; interleave++) {
        const uint32_t n = 90, k = 77;
        std::vector<T> w(n * k);
        for (uint32_t r = 0; r < n; r++)
            for (uint32_t c = 0; c < k; c++)
                w[r * k + c] = Harness::from_host<T>(dummy_weight(5, r, c));
        const std::vector<T> want = host_pack(w, n, k, interleave);
        Buffer<T> dst(want.size());
        for (uint32_t part = 0; part < interleave; part++) {
            pgd_k_pack a = {};
            a.dst = dst.get();
            a.type = type_of<T>();
            a.rows = n / interleave, a.part = part, a.interleave = interleave;
            a.n = n, a.k = k, a.seed = 5;
            CUDA_OK(pgd_k_run_pack(&a, h.stream));
        }
        h.sync();
        h.same("dummy weights", dst.download().data(), want.data(), want.size() * 2);
        double sum = 0;
        for (const T &v : w)
            sum += (double)Harness::to_host(v) * Harness::to_host(v);
        h.check(fabs(sqrt(sum / w.size()) - 0.02) < 1e-3, "dummy weights deviate by 0.02");
    }
}

/* --- every kernel against variant 0 --- */

struct Kind {
    const char *name;
    pgd_epilogue epilogue;
    uint32_t gelu;
    bool typed, bias;
};
const Kind kKinds[] = {
    {"f32", PGD_EPI_NONE, 0, false, false},
    {"f32 bias", PGD_EPI_NONE, 0, false, true},
    {"typed", PGD_EPI_NONE, 0, true, true},
    {"residual", PGD_EPI_RESIDUAL, 0, false, false},
    {"residual bias", PGD_EPI_RESIDUAL, 0, false, true},
    {"silu", PGD_EPI_SWIGLU, 0, true, false},
    {"silu f32 bias", PGD_EPI_SWIGLU, 0, false, true},
    {"gelu", PGD_EPI_SWIGLU, 1, true, true},
    {"gelu f32", PGD_EPI_SWIGLU, 1, false, false},
};

struct Mismatch {
    unsigned long long count, first;
};

/* Elements below m * ldy must be `want`'s, those above `init`'s. */
template <typename U>
__global__ void compare(const U *got, const U *want, const U *init, size_t used, size_t total,
                        Mismatch *out) {
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step)
        if (got[i] != (i < used ? want[i] : init[i])) {
            atomicAdd(&out->count, 1ULL);
            atomicMin(&out->first, (unsigned long long)i);
        }
}

/* y buffers of one op, as raw elements of 2 or 4 bytes. */
struct Outputs {
    size_t element, total; /* bytes, elements */
    uint32_t ldy, columns;
    Buffer<unsigned char> init, want, got;
    Buffer<Mismatch> mismatch;
    Outputs(size_t bytes, uint32_t rows, uint32_t pitch, uint32_t n)
        : element(bytes), total((size_t)rows * pitch), ldy(pitch), columns(n), init(total * bytes),
          want(total * bytes), got(total * bytes), mismatch(1) {}

    void reset(cudaStream_t s, Buffer<unsigned char> &b) const {
        CUDA_OK(cudaMemcpyAsync(b.get(), init.get(), total * element, cudaMemcpyDeviceToDevice, s));
    }
    float value(const Buffer<unsigned char> &b, size_t i, pgd_dtype type) const {
        unsigned char raw[4];
        CUDA_OK(cudaMemcpy(raw, b.get() + i * element, element, cudaMemcpyDeviceToHost));
        float f;
        uint16_t u;
        memcpy(&f, raw, 4);
        memcpy(&u, raw, 2);
        if (element == 4) return f;
        return type == PGD_BF16 ? __bfloat162float(*reinterpret_cast<__nv_bfloat16 *>(&u))
                                : __half2float(*reinterpret_cast<__half *>(&u));
    }
};

/* Run kernel on rows [row, row + m) of x; outputs must be those rows of want, bit for bit. */
void run_and_compare(Harness &h, int kernel, pgd_k_linear a, uint32_t row, uint32_t m, Outputs &o,
                     const char *what) {
    const GemmKernel *const g = gemm_kernel(kernel);
    if (is_skipped(kernel) || (g->max_m && m > g->max_m)) return;
    a.x = static_cast<const unsigned char *>(a.x) + (size_t)row * a.ldx * 2;
    a.y = o.got.get();
    a.m = m;
    if (a.epilogue == PGD_EPI_RESIDUAL) /* the rows' own residuals */
        CUDA_OK(cudaMemcpyAsync(o.got.get(), o.init.get() + (size_t)row * o.ldy * o.element,
                                (size_t)m * o.ldy * o.element, cudaMemcpyDeviceToDevice, h.stream));
    else
        o.reset(h.stream, o.got);
    CUDA_OK(cudaMemsetAsync(o.mismatch.get(), 0, 8, h.stream));
    CUDA_OK(cudaMemsetAsync(&o.mismatch.get()->first, 0xff, 8, h.stream));
    char where[256];
    snprintf(where, sizeof where, "%s, %s, rows %u + %u", g->name, what, row, m);
    const int e = gemm_run(kernel, &a, h.stream);
    if (e) {
        h.fail("%s: launch: %s", where, cudaGetErrorString((cudaError_t)e));
        (void)cudaGetLastError();
        return;
    }
    const size_t used = (size_t)m * o.ldy;
    const size_t total = a.epilogue == PGD_EPI_RESIDUAL ? used : o.total;
    const unsigned char *want = o.want.get() + (size_t)row * o.ldy * o.element;
    if (o.element == 4)
        compare<<<256, 256, 0, h.stream>>>(
            reinterpret_cast<uint32_t *>(o.got.get()), reinterpret_cast<const uint32_t *>(want),
            reinterpret_cast<uint32_t *>(o.init.get()), used, total, o.mismatch.get());
    else
        compare<<<256, 256, 0, h.stream>>>(
            reinterpret_cast<uint16_t *>(o.got.get()), reinterpret_cast<const uint16_t *>(want),
            reinterpret_cast<uint16_t *>(o.init.get()), used, total, o.mismatch.get());
    settle(h, kernel, where);
    const Mismatch bad = o.mismatch.download()[0];
    h.check(o.got.guards_intact(), where);
    if (bad.count == 0) {
        h.check(true, where);
        return;
    }
    const size_t i = bad.first;
    h.fail(
        "%s: %llu of %zu elements differ, first at token %zu column %zu (of %u, pitch %u): %.9g, "
        "variant 0 gives %.9g",
        where, bad.count, used, i / o.ldy, i % o.ldy, o.columns, o.ldy, o.value(o.got, i, a.type),
        i < used ? o.value(o.want, i + row * o.ldy, a.type) : NAN);
}

double activation(double g, uint32_t gelu) {
    if (!gelu) return g / (1 + exp(-g));
    return 0.5 * g * (1 + tanh(0.7978845608028654 * (g + 0.044715 * g * g * g)));
}

struct Shape {
    uint32_t n, k, pad; /* ldx = k rounded up to 8, + 8 pad */
};

/* Dots of all rows in float64, with the sums of |w x|. */
struct Dots {
    std::vector<double> sum, size;
};

template <typename T>
Dots host_dots(const std::vector<T> &w, const std::vector<T> &x, uint32_t m, uint32_t n, uint32_t k,
               uint32_t ldx) {
    std::vector<float> wf(w.size()), xf(x.size());
    for (size_t i = 0; i < w.size(); i++)
        wf[i] = Harness::to_host(w[i]);
    for (size_t i = 0; i < x.size(); i++)
        xf[i] = Harness::to_host(x[i]);
    Dots d = {std::vector<double>((size_t)m * n), std::vector<double>((size_t)m * n)};
    for (uint32_t t = 0; t < m; t++)
        for (uint32_t r = 0; r < n; r++) {
            double sum = 0, size = 0;
            for (uint32_t c = 0; c < k; c++) {
                const double p = (double)wf[(size_t)r * k + c] * xf[(size_t)t * ldx + c];
                sum += p;
                size += fabs(p);
            }
            d.sum[(size_t)t * n + r] = sum;
            d.size[(size_t)t * n + r] = size;
        }
    return d;
}

/* Variant 0 in o.want against float64, the first rows of it. */
template <typename T>
void check_oracle(Harness &h, const Kind &kind, const Dots &dots, const std::vector<float> &bias,
                  const std::vector<float> &residual, uint32_t m, uint32_t n, const Outputs &o,
                  const char *what) {
    const bool pairs = kind.epilogue == PGD_EPI_SWIGLU;
    const double eps = 0x1p-17;
    const double rounding = kind.typed ? (type_of<T>() == PGD_BF16 ? 0x1p-8 : 0x1p-11) : 0x1p-22;
    std::vector<double> want, tol;
    std::vector<float> got;
    std::vector<unsigned char> raw = o.want.download();
    for (uint32_t t = 0; t < m; t++)
        for (uint32_t c = 0; c < o.columns; c++) {
            auto dot = [&](uint32_t r) {
                return dots.sum[(size_t)t * n + r] + (kind.bias ? (double)bias[r] : 0.0);
            };
            auto slack = [&](uint32_t r) {
                return eps * (dots.size[(size_t)t * n + r] + (kind.bias ? fabs(bias[r]) : 0.0));
            };
            double v, e;
            if (pairs) {
                const double g = dot(2 * c), u = dot(2 * c + 1), act = activation(g, kind.gelu);
                const double eg = 1.2 * slack(2 * c) + 1e-6 * (fabs(act) + 1e-3);
                v = act * u;
                e = eg * fabs(u) + fabs(act) * slack(2 * c + 1) + eg * slack(2 * c + 1);
            } else {
                v = dot(c), e = slack(c);
                if (kind.epilogue == PGD_EPI_RESIDUAL) {
                    v += residual[(size_t)t * o.ldy + c];
                    e += 0x1p-22 * fabs(residual[(size_t)t * o.ldy + c]);
                }
            }
            want.push_back(v);
            tol.push_back(e + rounding * fabs(v) + 1e-7);
            const unsigned char *p = raw.data() + ((size_t)t * o.ldy + c) * o.element;
            if (o.element == 4) {
                float f;
                memcpy(&f, p, 4);
                got.push_back(f);
            } else {
                T f;
                memcpy(&f, p, 2);
                got.push_back(Harness::to_host(f));
            }
        }
    h.near(what, got, want, tol);
}

/* All kernels on one shape and epilogue, for every m of the list. */
template <typename T>
void test_shape(Harness &h, const Shape &s, const Kind &kind, const std::vector<uint32_t> &ms) {
    const uint32_t n = s.n, k = s.k, ldx = (k + 7) / 8 * 8 + 8 * s.pad;
    const bool pairs = kind.epilogue == PGD_EPI_SWIGLU;
    const uint32_t rows = *std::max_element(ms.begin(), ms.end()) + 8;
    const uint32_t columns = pairs ? n / 2 : n, ldy = columns + 3;
    char what[128];
    snprintf(what, sizeof what, "%ux%u %s %s", n, k, type_of<T>() == PGD_BF16 ? "bf16" : "f16",
             kind.name);

    const std::vector<T> w = h.random_values<T>((size_t)n * k, 2.0f / sqrtf((float)k));
    std::vector<T> x = h.random_values<T>((size_t)rows * ldx, 2.0f);
    for (uint32_t t = 0; t < rows; t++) /* what lies beyond k must not be read as data */
        for (uint32_t c = k; c < ldx; c++)
            x[(size_t)t * ldx + c] = Harness::from_host<T>(NAN);
    const std::vector<float> bias = h.random_values<float>(n);
    Buffer<T> packed(host_pack(w, n, k, pairs ? 2 : 1)), dx(x);
    Buffer<float> dbias(bias);

    Outputs o(kind.typed ? 2 : 4, rows, ldy, columns);
    std::vector<float> residual;
    if (kind.epilogue == PGD_EPI_RESIDUAL) {
        residual = h.random_values<float>((size_t)rows * ldy);
        CUDA_OK(
            cudaMemcpy(o.init.get(), residual.data(), residual.size() * 4, cudaMemcpyHostToDevice));
    }
    pgd_k_linear a = {};
    a.x = dx.get(), a.w = packed.get(), a.bias = kind.bias ? dbias.get() : nullptr;
    a.type = type_of<T>();
    a.y_type = kind.typed ? type_of<T>() : PGD_F32;
    a.epilogue = kind.epilogue, a.gelu = kind.gelu;
    a.n = n, a.k = k, a.ldx = ldx, a.ldy = ldy;

    a.m = rows, a.y = o.want.get();
    o.reset(h.stream, o.want);
    CUDA_OK(gemm_run(0, &a, h.stream));
    settle(h, 0, what);
    h.check(o.want.guards_intact(), what);
    const uint32_t some = std::min(rows, 80u);
    check_oracle<T>(h, kind, host_dots(w, x, some, n, k, ldx), bias, residual, some, n, o, what);

    for (int i = 0; gemm_kernel(i); i++)
        for (const uint32_t m : ms) {
            run_and_compare(h, i, a, 0, m, o, what);
            if (m <= 65) run_and_compare(h, i, a, 1 + m % 7, m, o, what); /* other positions */
        }
}

/* x at odd addresses and pitches goes to the guarded kernel, with the same bits. */
template <typename T> void test_unaligned(Harness &h) {
    const uint32_t n = 48, k = 100, m = 20;
    const std::vector<T> w = h.random_values<T>(n * k), x = h.random_values<T>(m * k);
    Buffer<T> packed(host_pack(w, n, k, 1));
    std::vector<float> want;
    for (const uint32_t ldx : {104u, 100u, 101u}) {
        std::vector<T> spread((size_t)m * ldx + 8);
        const uint32_t shift = ldx == 101 ? 1 : 0;
        for (uint32_t t = 0; t < m; t++)
            std::copy_n(x.begin() + t * k, k, spread.begin() + shift + t * ldx);
        Buffer<T> dx(spread);
        Buffer<float> y(n * m);
        pgd_k_linear a = {};
        a.x = dx.get() + shift, a.w = packed.get(), a.y = y.get();
        a.type = type_of<T>(), a.y_type = PGD_F32;
        a.m = m, a.n = n, a.k = k, a.ldx = ldx, a.ldy = n;
        CUDA_OK(pgd_k_run_linear(&a, h.stream));
        h.sync();
        if (want.empty())
            want = y.download();
        else
            h.same("unaligned x", y.download().data(), want.data(), want.size() * 4);
        h.check(y.guards_intact(), "unaligned x, guards");
    }
}

/* --- sizes of models, against variant 0 alone --- */

__global__ void fill(__nv_bfloat16 *x, size_t n, uint32_t seed) {
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint32_t v = (uint32_t)i * 2654435761u ^ seed;
        v = (v ^ v >> 15) * 2246822519u;
        v = (v ^ v >> 13) * 3266489917u;
        x[i] = __float2bfloat16_rn((float)(int32_t)(v ^ v >> 16) * 0x1p-31f);
    }
}

void dummy_pack(Harness &h, void *dst, uint32_t n, uint32_t k, uint64_t seed) {
    pgd_k_pack a = {};
    a.dst = dst;
    a.type = PGD_BF16;
    a.rows = n, a.interleave = 1, a.n = n, a.k = k, a.seed = seed;
    CUDA_OK(pgd_k_run_pack(&a, h.stream));
    h.sync();
}

void test_large(Harness &h, uint32_t n, uint32_t k, pgd_epilogue epilogue, bool typed,
                const std::vector<uint32_t> &ms) {
    const uint32_t rows = *std::max_element(ms.begin(), ms.end()) + 8;
    const uint32_t columns = epilogue == PGD_EPI_SWIGLU ? n / 2 : n;
    Buffer<unsigned char> w(pgd_k_packed_bytes(n, k));
    Buffer<__nv_bfloat16> x((size_t)rows * k);
    dummy_pack(h, w.get(), n, k, h.next());
    fill<<<1024, 256, 0, h.stream>>>(x.get(), x.size(), (uint32_t)h.next());
    h.sync();
    Outputs o(typed ? 2 : 4, rows, columns, columns);
    if (epilogue == PGD_EPI_RESIDUAL) CUDA_OK(cudaMemset(o.init.get(), 0x3e, o.total * 4));
    pgd_k_linear a = {};
    a.x = x.get(), a.w = w.get(), a.y = o.want.get();
    a.type = PGD_BF16, a.y_type = typed ? PGD_BF16 : PGD_F32, a.epilogue = epilogue;
    a.m = rows, a.n = n, a.k = k, a.ldx = k, a.ldy = columns;
    o.reset(h.stream, o.want);
    CUDA_OK(gemm_run(0, &a, h.stream));
    settle(h, 0, "large");
    char what[64];
    snprintf(what, sizeof what, "%ux%u epilogue %d", n, k, (int)epilogue);
    for (int i = 1; gemm_kernel(i); i++)
        for (const uint32_t m : ms)
            run_and_compare(h, i, a, m % 8, m, o, what);
}

/* --- chains: y of one linear is x of the next --- */

constexpr uint32_t kWidth = 544, kLinks = 8;

template <typename T>
void test_chain(Harness &h, int kernel, uint32_t m, const std::vector<Buffer<T> *> &w) {
    const uint32_t d = kWidth, links = kLinks;
    const GemmKernel *const g = gemm_kernel(kernel);
    if (is_skipped(kernel) || (g->max_m && m > g->max_m)) return;
    std::vector<Buffer<T> *> y;
    y.push_back(new Buffer<T>(h.random_values<T>((size_t)m * d)));
    for (uint32_t i = 0; i < links; i++)
        y.push_back(new Buffer<T>((size_t)m * d));
    auto link = [&](uint32_t i, int which) {
        pgd_k_linear a = {};
        a.x = y[i]->get(), a.w = w[i]->get(), a.y = y[i + 1]->get();
        a.type = a.y_type = type_of<T>();
        a.m = m, a.n = d, a.k = d, a.ldx = d, a.ldy = d;
        CUDA_OK(gemm_run(which, &a, h.stream));
    };
    for (uint32_t i = 0; i < links; i++) {
        link(i, 0);
        settle(h, 0, "chain");
    }
    const std::vector<T> want = y[links]->download();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_OK(cudaStreamBeginCapture(h.stream, cudaStreamCaptureModeThreadLocal));
    for (uint32_t i = 0; i < links; i++)
        link(i, kernel);
    CUDA_OK(cudaStreamEndCapture(h.stream, &graph));
    CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
    char what[96];
    snprintf(what, sizeof what, "chain of %s in a graph, m %u", g->name, m);
    for (int r = 0; r < 10; r++) {
        for (uint32_t i = 1; i <= links; i++)
            CUDA_OK(cudaMemsetAsync(y[i]->get(), 0xff, y[i]->size() * 2, h.stream));
        CUDA_OK(cudaGraphLaunch(exec, h.stream));
        settle(h, kernel, what);
        h.same(what, y[links]->download().data(), want.data(), want.size() * 2);
    }
    CUDA_OK(cudaGraphExecDestroy(exec));
    CUDA_OK(cudaGraphDestroy(graph));
    for (Buffer<T> *b : y)
        delete b;
}

/* --- bench --- */

/* One line a kernel that suits m; * marks the one that pgd_k_run_linear takes. Fractions count the
 * weights alone. cuBLASLt takes the same bytes for a matrix of its own layout, and writes bf16
 * without an epilogue. */
void bench_shape(Harness &h, CublasLt &cublas, uint32_t n, uint32_t k, pgd_epilogue epilogue,
                 bool typed, const std::vector<uint32_t> &ms) {
    const size_t bytes = pgd_k_packed_bytes(n, k);
    const int copies = (int)(((size_t)256 << 20) / bytes) + 1;
    const uint32_t columns = epilogue == PGD_EPI_SWIGLU ? n / 2 : n;
    const uint32_t rows = *std::max_element(ms.begin(), ms.end());
    Buffer<unsigned char> w(bytes * copies), y((size_t)rows * n * 4);
    Buffer<__nv_bfloat16> x((size_t)rows * k);
    for (int i = 0; i < copies; i++)
        dummy_pack(h, w.get() + i * bytes, n, k, i + 1);
    fill<<<1024, 256, 0, h.stream>>>(x.get(), x.size(), 3);
    CUDA_OK(cudaMemsetAsync(y.get(), 0, y.size(), h.stream));
    h.sync();
    for (const uint32_t m : ms) {
        const int chosen = gemm_choose(m, n);
        const double flops = 2.0 * m * n * k;
        const int calls = flops < 4e10 ? 40 : 4;
        char shape[64];
        snprintf(shape, sizeof shape, "%ux%u m %u", n, k, m);
        const auto weights = [&](int c) { return w.get() + (size_t)(c % copies) * bytes; };
        const auto tell = [&](const char *name, double us) {
            h.report(name, shape, us, m <= 256 ? (double)bytes : 0, m >= 64 ? flops : 0);
        };
        for (int i = 1; gemm_kernel(i); i++) {
            const GemmKernel *const g = gemm_kernel(i);
            const uint32_t tile = m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64;
            const bool suits = m <= 64 ? g->tokens == tile : g->tokens >= (m <= 512 ? 64u : 128u);
            if (is_skipped(i) || (!suits && i != chosen)) continue;
            pgd_k_linear a = {};
            a.x = x.get(), a.y = y.get();
            a.type = PGD_BF16, a.y_type = typed ? PGD_BF16 : PGD_F32, a.epilogue = epilogue;
            a.m = m, a.n = n, a.k = k, a.ldx = k, a.ldy = columns;
            int failed = 0;
            const double us = h.time_us(
                [&](int c) {
                    a.w = weights(c);
                    const int e = gemm_run(i, &a, h.stream);
                    if (e) failed = e;
                },
                calls, flops < 4e10 ? 9 : 5);
            if (failed) {
                printf("BENCH %s: %s\n", g->name, cudaGetErrorString((cudaError_t)failed));
                continue;
            }
            char name[48];
            snprintf(name, sizeof name, "%c%s", i == chosen ? '*' : ' ', g->name);
            tell(name, us);
        }
        const CublasLtTimes best = cublas.time(h, m, n, k, x.get(), y.get(), weights, calls);
        if (best.any > 0) tell(" cuBLASLt", best.any);
        if (best.whole > 0) tell(" cuBLASLt, K not split", best.whole);
    }
}

void bench(Harness &h) {
    CublasLt cublas;
    const std::vector<uint32_t> small = {1, 2, 4, 8, 16, 32, 64};
    bench_shape(h, cublas, 4096, 4096, PGD_EPI_RESIDUAL, false, small);
    bench_shape(h, cublas, 6144, 4096, PGD_EPI_NONE, false, small);
    bench_shape(h, cublas, 4096, 14336, PGD_EPI_RESIDUAL, false, small);
    bench_shape(h, cublas, 28672, 4096, PGD_EPI_SWIGLU, true, small);
    bench_shape(h, cublas, 128256, 4096, PGD_EPI_NONE, false, small);
    const std::vector<uint32_t> large = {128, 256, 512, 1024, 2048, 4096, 8192};
    bench_shape(h, cublas, 4096, 4096, PGD_EPI_RESIDUAL, false, large);
    bench_shape(h, cublas, 6144, 4096, PGD_EPI_NONE, false, large);
    bench_shape(h, cublas, 4096, 14336, PGD_EPI_RESIDUAL, false, large);
    bench_shape(h, cublas, 28672, 4096, PGD_EPI_SWIGLU, true, large);
    bench_shape(h, cublas, 128256, 4096, PGD_EPI_NONE, false, {128, 256, 512});
}

template <typename T> void test_all(Harness &h) {
    std::vector<uint32_t> few = {1, 8, 9, 17, 64, 65, 129}, all, some = {1, 2, 7, 8, 9, 16, 17, 24};
    for (uint32_t m = 1; m <= 65; m++)
        all.push_back(m);
    all.insert(all.end(), {100, 129, 257, 1000});
    some.insert(some.end(), {32, 33, 64, 65, 100, 129, 257, 520});
    test_shape<T>(h, {136, 336, 1}, kKinds[1], h.quick ? few : all);
    if (!h.quick) test_shape<T>(h, {330, 1000, 0}, kKinds[4], all);
    for (const Kind &kind : kKinds) {
        test_shape<T>(h, {72, 200, 0}, kind, h.quick ? few : some);
        if (h.quick) continue;
        test_shape<T>(h, {1000, 712, 2}, kind, some);
        test_shape<T>(h, {2, 3, 0}, kind, few);
        test_shape<T>(h, {50, 2100, 0}, kind, few); /* many turns of every ring */
        test_shape<T>(h, {30, 64, 0}, kind, few);
    }
    test_unaligned<T>(h);
    std::vector<Buffer<T> *> w;
    for (uint32_t i = 0; i < kLinks; i++)
        w.push_back(new Buffer<T>(host_pack(
            h.random_values<T>(kWidth * kWidth, 1.7f / sqrtf((float)kWidth)), kWidth, kWidth, 1)));
    for (int i = 0; gemm_kernel(i); i++)
        for (const uint32_t m : {3u, 16u, 40u, 300u})
            test_chain<T>(h, i, m, w);
    for (Buffer<T> *b : w)
        delete b;
    printf("%s checked\n", type_of<T>() == PGD_BF16 ? "bf16" : "f16");
    fflush(stdout);
}

} // namespace

int main(int argc, char **argv) {
    std::vector<char *> own = take_skip_list(argc, argv);
    Harness h((int)own.size() - 1, own.data());
    CUDA_OK(pgd_k_linear_init());
    test_pack<__nv_bfloat16, __nv_bfloat16>(h);
    test_pack<float, __half>(h);
    test_pack<__half, __half>(h);
    test_pack<float, __nv_bfloat16>(h);
    test_dummy<__nv_bfloat16>(h);
    test_dummy<__half>(h);
    printf("packing checked\n");
    fflush(stdout);
    test_all<__nv_bfloat16>(h);
    test_all<__half>(h);
    if (!h.quick) {
        test_large(h, 4096, 4096, PGD_EPI_RESIDUAL, false, {8, 16, 64, 2047});
        test_large(h, 6144, 4096, PGD_EPI_NONE, false, {1, 32, 300});
        test_large(h, 4096, 14336, PGD_EPI_RESIDUAL, false, {5, 61, 513});
        test_large(h, 28672, 4096, PGD_EPI_SWIGLU, true, {4, 13, 64, 700});
    }
    for (const int i : skipped)
        h.fail("kernel %d (%s) was skipped", i, gemm_kernel(i)->name);
    const int status = h.finish();
    if (h.bench) bench(h);
    return status;
}

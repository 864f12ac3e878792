/* The best algorithms of cuBLASLt for a linear, as the yardstick of test_linear --bench. The
 * library is opened at run time where it is: without it there are no such lines. */
#ifndef PAGODA_TESTS_KERNELS_CUBLASLT_CUH
#define PAGODA_TESTS_KERNELS_CUBLASLT_CUH

#include "harness.cuh"

/* Microseconds of the fastest algorithm, and of the fastest that sums all of K in one place, as our
 * order asks; 0: there is none. */
struct CublasLtTimes {
    double any = 0, whole = 0;
};

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>

#include <memory>

#define CALL(name) symbol<decltype(&name)>(#name)

class CublasLt {
  public:
    CublasLt() : library_(dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL)) {
        if (!library_ || CALL(cublasLtCreate)(&handle_)) handle_ = nullptr;
        if (handle_) space_.reset(new Buffer<char>(kSpaceBytes));
    }
    ~CublasLt() {
        if (handle_) CALL(cublasLtDestroy)(handle_);
        if (library_) dlclose(library_);
    }
    CublasLt(const CublasLt &) = delete;

    /* y [m, n] = x [m, k] w [n, k]^T, all bf16 rows, f32 sums, by the algorithms that the library
     * names for the shape. w_of(call): weights of that call. */
    CublasLtTimes time(Harness &h, uint32_t m, uint32_t n, uint32_t k, const void *x, void *y,
                       const std::function<const void *(int)> &w_of, int calls) {
        CublasLtTimes best;
        if (!handle_) return best;
        /* it counts in columns: y^T [n, m] = w^T' x^T */
        const cublasLtMatrixLayout_t a = layout(k, n), b = layout(k, m), c = layout(n, m);
        const cublasOperation_t turned = CUBLAS_OP_T;
        cublasLtMatmulDesc_t desc;
        check(CALL(cublasLtMatmulDescCreate)(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
        check(CALL(cublasLtMatmulDescSetAttribute)(desc, CUBLASLT_MATMUL_DESC_TRANSA, &turned,
                                                   sizeof turned));
        for (const uint32_t schemes :
             {(uint32_t)CUBLASLT_REDUCTION_SCHEME_MASK, (uint32_t)CUBLASLT_REDUCTION_SCHEME_NONE}) {
            cublasLtMatmulHeuristicResult_t found[kMost];
            const int count = find(desc, a, b, c, schemes, found);
            for (int i = 0; i < count; i++) {
                const float one = 1.0f, zero = 0.0f;
                const auto run = [&](int call) {
                    return CALL(cublasLtMatmul)(handle_, desc, &one, w_of(call), a, x, b, &zero, y,
                                                c, y, c, &found[i].algo, space_->get(), kSpaceBytes,
                                                h.stream);
                };
                if (run(0)) continue; /* not for this device or shape */
                h.sync();
                const double us = h.time_us([&](int call) { check(run(call)); }, calls, 5);
                if (best.any == 0 || us < best.any) best.any = us;
                if (is_whole(found[i].algo) && (best.whole == 0 || us < best.whole))
                    best.whole = us;
            }
        }
        CALL(cublasLtMatmulDescDestroy)(desc);
        for (const cublasLtMatrixLayout_t l : {a, b, c})
            CALL(cublasLtMatrixLayoutDestroy)(l);
        return best;
    }

  private:
    static constexpr int kMost = 24; /* algorithms */
    static constexpr size_t kSpaceBytes = (size_t)64 << 20;

    template <typename F> F symbol(const char *name) {
        void *const f = dlsym(library_, name);
        if (!f) {
            fprintf(stderr, "no %s in cuBLASLt\n", name);
            exit(2);
        }
        return reinterpret_cast<F>(f);
    }
    static void check(cublasStatus_t status) {
        if (status == CUBLAS_STATUS_SUCCESS) return;
        fprintf(stderr, "cuBLASLt: status %d\n", (int)status);
        exit(2);
    }
    cublasLtMatrixLayout_t layout(uint64_t rows, uint64_t columns) {
        cublasLtMatrixLayout_t l;
        check(CALL(cublasLtMatrixLayoutCreate)(&l, CUDA_R_16BF, rows, columns, (int64_t)rows));
        return l;
    }
    /* Algorithms whose ways to join parts of K are among `schemes`; their number. */
    int find(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
             cublasLtMatrixLayout_t c, uint32_t schemes,
             cublasLtMatmulHeuristicResult_t (&found)[kMost]) {
        const auto set = CALL(cublasLtMatmulPreferenceSetAttribute);
        const size_t space = kSpaceBytes;
        cublasLtMatmulPreference_t wish;
        int count = 0;
        check(CALL(cublasLtMatmulPreferenceCreate)(&wish));
        check(set(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space, sizeof space));
        check(set(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes));
        if (CALL(cublasLtMatmulAlgoGetHeuristic)(handle_, desc, a, b, c, c, wish, kMost, found,
                                                 &count))
            count = 0;
        CALL(cublasLtMatmulPreferenceDestroy)(wish);
        return count;
    }
    bool is_whole(const cublasLtMatmulAlgo_t &algo) {
        int32_t parts = 0;
        check(CALL(cublasLtMatmulAlgoConfigGetAttribute)(&algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                                         &parts, sizeof parts, nullptr));
        return parts == 0 || parts == 1; /* -1: streams of K */
    }
    void *const library_;
    cublasLtHandle_t handle_ = nullptr;
    std::unique_ptr<Buffer<char>> space_;
};

#undef CALL

#else

class CublasLt {
  public:
    CublasLtTimes time(Harness &, uint32_t, uint32_t, uint32_t, const void *, void *,
                       const std::function<const void *(int)> &, int) {
        return CublasLtTimes();
    }
};

#endif

#endif

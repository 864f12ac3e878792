/* The best algorithm of cuBLASLt for a linear, as the yardstick of test_linear --bench. The library
 * is opened at run time where it is: without it there are no such lines. */
#ifndef PAGODA_TESTS_KERNELS_CUBLASLT_CUH
#define PAGODA_TESTS_KERNELS_CUBLASLT_CUH

#include "harness.cuh"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>

#include <memory>

class CublasLt {
  public:
    CublasLt() : library_(dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL)) {
        if (!library_ || cublas<decltype(&cublasLtCreate)>("cublasLtCreate")(&handle_))
            handle_ = nullptr;
        if (handle_) space_.reset(new Buffer<char>(kSpaceBytes));
    }
    ~CublasLt() {
        if (handle_) cublas<decltype(&cublasLtDestroy)>("cublasLtDestroy")(handle_);
        if (library_) dlclose(library_);
    }
    CublasLt(const CublasLt &) = delete;

    /* y [m, n] = x [m, k] w [n, k]^T, all bf16 rows, f32 sums: microseconds of the fastest of the
     * algorithms that the library names for the shape, or 0. w_of(call): weights of that call. */
    double best_us(Harness &h, uint32_t m, uint32_t n, uint32_t k, const void *x, void *y,
                   const std::function<const void *(int)> &w_of, int calls) {
        if (!handle_) return 0;
        /* it counts in columns: y^T [n, m] = w^T' x^T */
        const auto layout = [&](uint64_t rows, uint64_t columns) {
            cublasLtMatrixLayout_t l;
            check(cublas<decltype(&cublasLtMatrixLayoutCreate)>("cublasLtMatrixLayoutCreate")(
                &l, CUDA_R_16BF, rows, columns, (int64_t)rows));
            return l;
        };
        const cublasLtMatrixLayout_t a = layout(k, n), b = layout(k, m), c = layout(n, m);
        cublasLtMatmulDesc_t desc;
        check(cublas<decltype(&cublasLtMatmulDescCreate)>("cublasLtMatmulDescCreate")(
            &desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
        const cublasOperation_t turned = CUBLAS_OP_T;
        check(cublas<decltype(&cublasLtMatmulDescSetAttribute)>("cublasLtMatmulDescSetAttribute")(
            desc, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned));
        cublasLtMatmulPreference_t wish;
        check(cublas<decltype(&cublasLtMatmulPreferenceCreate)>("cublasLtMatmulPreferenceCreate")(
            &wish));
        const size_t space = kSpaceBytes;
        check(cublas<decltype(&cublasLtMatmulPreferenceSetAttribute)>(
            "cublasLtMatmulPreferenceSetAttribute")(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    &space, sizeof space));
        cublasLtMatmulHeuristicResult_t found[kMost];
        int count = 0;
        cublas<decltype(&cublasLtMatmulAlgoGetHeuristic)>("cublasLtMatmulAlgoGetHeuristic")(
            handle_, desc, a, b, c, c, wish, kMost, found, &count);
        const auto matmul = cublas<decltype(&cublasLtMatmul)>("cublasLtMatmul");
        const float one = 1.0f, zero = 0.0f;
        double best = 0;
        for (int i = 0; i < count; i++) {
            const auto run = [&](int call) {
                return matmul(handle_, desc, &one, w_of(call), a, x, b, &zero, y, c, y, c,
                              &found[i].algo, space_->get(), kSpaceBytes, h.stream);
            };
            if (run(0)) continue; /* not for this device or shape */
            h.sync();
            const double us = h.time_us([&](int call) { check(run(call)); }, calls, 5);
            if (best == 0 || us < best) best = us;
        }
        cublas<decltype(&cublasLtMatmulPreferenceDestroy)>("cublasLtMatmulPreferenceDestroy")(wish);
        cublas<decltype(&cublasLtMatmulDescDestroy)>("cublasLtMatmulDescDestroy")(desc);
        for (const cublasLtMatrixLayout_t l : {a, b, c})
            cublas<decltype(&cublasLtMatrixLayoutDestroy)>("cublasLtMatrixLayoutDestroy")(l);
        return best;
    }

  private:
    static constexpr int kMost = 24; /* algorithms */
    static constexpr size_t kSpaceBytes = (size_t)64 << 20;

    template <typename F> F cublas(const char *name) {
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

    void *const library_;
    cublasLtHandle_t handle_ = nullptr;
    std::unique_ptr<Buffer<char>> space_;
};

#else

class CublasLt {
  public:
    double best_us(Harness &, uint32_t, uint32_t, uint32_t, const void *, void *,
                   const std::function<const void *(int)> &, int) {
        return 0;
    }
};

#endif

#endif

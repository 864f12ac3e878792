/* What the kernel tests share. A test program checks first and, with --bench, then times, so that
 * no kernel is ever timed unchecked:
 *
 *   test_x [--seed N] [--quick] [--bench]
 *
 * --quick takes small sizes only (for compute-sanitizer). Exit status 0 when every check holds.
 * Buffers are guarded on both sides and poisoned with NaN (0xff bytes) before use. References are
 * float64, on the host, on inputs already rounded to the storage type. Times are medians of graph
 * replays of several launches, printed with the fraction of the read ceiling that was measured in
 * the same run; the caller rotates its buffers so that they exceed the L2 cache. */
#ifndef PAGODA_TESTS_KERNELS_HARNESS_CUH
#define PAGODA_TESTS_KERNELS_HARNESS_CUH

#include <cuda_runtime.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "../../kernels/common.cuh"
#include "../../kernels/launch.h"

/* Stop at a CUDA error: what follows one means nothing. */
#define CUDA_OK(call)                                                                              \
    do {                                                                                           \
        const int error_ = (int)(call);                                                            \
        if (error_) {                                                                              \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,                          \
                    cudaGetErrorString((cudaError_t)error_));                                      \
            exit(3);                                                                               \
        }                                                                                          \
    } while (0)

/* Device memory of n elements between two guards, all bytes 0xff (NaN in every float type). */
template <typename T> class Buffer {
  public:
    explicit Buffer(size_t n) : n_(n) {
        CUDA_OK(cudaMalloc(&base_, n * sizeof(T) + 2 * kGuard));
        CUDA_OK(cudaMemset(base_, 0xff, n * sizeof(T) + 2 * kGuard));
    }
    Buffer(const std::vector<T> &v) : Buffer(v.size()) { upload(v); }
    ~Buffer() { cudaFree(base_); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    T *get() const { return reinterpret_cast<T *>(base_ + kGuard); }
    size_t size() const { return n_; }
    void upload(const std::vector<T> &v) {
        CUDA_OK(cudaMemcpy(get(), v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice));
    }
    void poison() { CUDA_OK(cudaMemset(get(), 0xff, n_ * sizeof(T))); }
    std::vector<T> download() const {
        std::vector<T> v(n_);
        CUDA_OK(cudaMemcpy(v.data(), get(), n_ * sizeof(T), cudaMemcpyDeviceToHost));
        return v;
    }
    bool guards_intact() const {
        std::vector<unsigned char> g(2 * kGuard);
        CUDA_OK(cudaMemcpy(g.data(), base_, kGuard, cudaMemcpyDeviceToHost));
        CUDA_OK(cudaMemcpy(g.data() + kGuard, base_ + kGuard + n_ * sizeof(T), kGuard,
                           cudaMemcpyDeviceToHost));
        return std::all_of(g.begin(), g.end(), [](unsigned char b) { return b == 0xff; });
    }

  private:
    static constexpr size_t kGuard = 1024;
    size_t n_;
    unsigned char *base_ = nullptr;
};

class Harness {
  public:
    bool bench = false, quick = false;
    uint64_t seed = 1;
    cudaStream_t stream = nullptr;

    Harness(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
            if (!strcmp(argv[i], "--bench"))
                bench = true;
            else if (!strcmp(argv[i], "--quick"))
                quick = true;
            else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
                seed = strtoull(argv[++i], nullptr, 10);
            else {
                fprintf(stderr, "usage: %s [--seed N] [--quick] [--bench]\n", argv[0]);
                exit(2);
            }
        }
        state_ = seed;
        CUDA_OK(cudaStreamCreate(&stream));
        printf("%s: seed %llu\n", argv[0], (unsigned long long)seed);
    }

    /* SplitMix64 */
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }
    uint32_t below(uint32_t n) { return (uint32_t)(next() % n); }
    float uniform() { return (float)((double)(next() >> 40) * 0x1p-23 - 1.0); } /* [-1, 1) */
    /* n values in [-scale, scale), rounded to T */
    template <typename T> std::vector<T> random_values(size_t n, float scale = 1.0f) {
        std::vector<T> v(n);
        for (auto &e : v)
            e = from_host<T>(uniform() * scale);
        return v;
    }
    template <typename T> static T from_host(float f);
    template <typename T> static float to_host(T v);

    void fail(const char *fmt, ...) {
        if (failed_++ >= 20) return;
        va_list ap;
        va_start(ap, fmt);
        fputs("FAIL ", stdout);
        vprintf(fmt, ap);
        fputc('\n', stdout);
        va_end(ap);
    }
    void check(bool ok, const char *what) {
        checks_++;
        if (!ok) fail("%s", what);
    }
    /* |got[i] - want[i]| <= tol[i]; NaN fails. Reports the worst element. */
    template <typename T>
    void near(const char *what, const std::vector<T> &got, const std::vector<double> &want,
              const std::vector<double> &tol) {
        checks_++;
        size_t worst = 0, bad = 0;
        double most = 0;
        for (size_t i = 0; i < want.size(); i++) {
            const double over = fabs((double)to_host(got[i]) - want[i]) / tol[i];
            if (over <= 1) continue;
            bad++;
            if (!(over <= most)) most = over, worst = i;
        }
        if (bad)
            fail("%s: %zu of %zu elements out of tolerance; element %zu is %.9g, expected %.9g +- "
                 "%.3g",
                 what, bad, want.size(), worst, (double)to_host(got[worst]), want[worst],
                 tol[worst]);
    }
    void same(const char *what, const void *a, const void *b, size_t bytes) {
        checks_++;
        for (size_t i = 0; i < bytes; i++)
            if (((const unsigned char *)a)[i] != ((const unsigned char *)b)[i]) {
                fail("%s: byte %zu of %zu differs", what, i, bytes);
                return;
            }
    }
    void sync() {
        CUDA_OK(cudaGetLastError());
        CUDA_OK(cudaStreamSynchronize(stream));
    }

    /* Median microseconds of one call of launch(i), i counting up, in a graph of `calls` calls. */
    double time_us(const std::function<void(int)> &launch, int calls = 20, int replays = 9) {
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        for (int i = 0; i < calls; i++)
            launch(i);
        CUDA_OK(cudaStreamEndCapture(stream, &graph));
        CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
        cudaEvent_t from, to;
        CUDA_OK(cudaEventCreate(&from));
        CUDA_OK(cudaEventCreate(&to));
        std::vector<double> us;
        for (int r = -2; r < replays; r++) {
            float ms;
            CUDA_OK(cudaEventRecord(from, stream));
            CUDA_OK(cudaGraphLaunch(exec, stream));
            CUDA_OK(cudaEventRecord(to, stream));
            CUDA_OK(cudaEventSynchronize(to));
            CUDA_OK(cudaEventElapsedTime(&ms, from, to));
            if (r >= 0) us.push_back(ms * 1e3 / calls);
        }
        CUDA_OK(cudaGraphExecDestroy(exec));
        CUDA_OK(cudaGraphDestroy(graph));
        CUDA_OK(cudaEventDestroy(from));
        CUDA_OK(cudaEventDestroy(to));
        std::sort(us.begin(), us.end());
        return us[us.size() / 2];
    }
    /* One line: bytes read and FLOPs of one call; either may be 0. */
    void report(const char *kernel, const char *shape, double us, double bytes, double flops) {
        const double ceiling = bytes > 0 ? read_ceiling() : 0; /* the first time it is a line too */
        printf("BENCH %-22s %-34s %10.2f us", kernel, shape, us);
        if (bytes > 0)
            printf(" %8.1f GB/s %6.3f of reads", bytes / us * 1e-3, bytes / us * 1e-3 / ceiling);
        if (flops > 0) printf(" %7.1f TFLOP/s", flops / us * 1e-6);
        putchar('\n');
        fflush(stdout);
    }
    /* GB/s of a plain read of 2 GiB, measured once a run. */
    double read_ceiling();

    int finish() {
        printf("%d checks, %d failed\n", checks_, failed_);
        return failed_ ? 1 : 0;
    }

  private:
    uint64_t state_;
    int checks_ = 0, failed_ = 0;
    double ceiling_ = 0;
};

template <> inline float Harness::from_host<float>(float f) {
    return f;
}
template <> inline __nv_bfloat16 Harness::from_host<__nv_bfloat16>(float f) {
    return __float2bfloat16_rn(f);
}
template <> inline __half Harness::from_host<__half>(float f) {
    return __float2half_rn(f);
}
template <> inline float Harness::to_host<float>(float v) {
    return v;
}
template <> inline float Harness::to_host<__nv_bfloat16>(__nv_bfloat16 v) {
    return __bfloat162float(v);
}
template <> inline float Harness::to_host<__half>(__half v) {
    return __half2float(v);
}

static __global__ void read_all(const uint4 *p, size_t n, uint32_t *sink) {
    uint32_t sum = 0;
    const size_t step = (size_t)gridDim.x * blockDim.x;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + 7 * step < n; i += 8 * step) {
        uint4 v[8];
#pragma unroll
        for (int k = 0; k < 8; k++)
            v[k] = __ldcs(p + i + k * step);
#pragma unroll
        for (int k = 0; k < 8; k++)
            sum += v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
    }
    for (; i < n; i += step)
        sum += p[i].x;
    if (sum == 0x12345678) *sink = sum;
}

inline double Harness::read_ceiling() {
    if (ceiling_ > 0) return ceiling_;
    const size_t bytes = (size_t)2 << 30;
    Buffer<uint4> data(bytes / sizeof(uint4));
    Buffer<uint32_t> sink(1);
    const double us = time_us(
        [&](int) { read_all<<<132 * 8, 256, 0, stream>>>(data.get(), data.size(), sink.get()); },
        4);
    ceiling_ = bytes / us * 1e-3;
    printf("BENCH read ceiling %.0f GB/s\n", ceiling_);
    return ceiling_;
}

#endif

/* What the programs about op linear share: the host's packer and the handling of kernels that hang
 * or fault. Such a kernel is named, and the program starts itself anew without it (--skip), so that
 * the others are still checked; the exit status then stays a failure. */
#ifndef PAGODA_TESTS_KERNELS_LINEAR_CASE_CUH
#define PAGODA_TESTS_KERNELS_LINEAR_CASE_CUH

#include "harness.cuh"

#include <time.h>
#include <unistd.h>

#include <string>

#include "../../kernels/gemm.cuh"

static std::vector<int> skipped;
static std::string skip_list;
static char **arguments;

static inline bool is_skipped(int kernel) {
    return std::find(skipped.begin(), skipped.end(), kernel) != skipped.end();
}

/* Start over without this kernel: its context is lost. */
[[noreturn]] static inline void start_over(int kernel, const char *why) {
    printf("FAIL kernel %d (%s): %s; starting over without it\n", kernel, gemm_kernel(kernel)->name,
           why);
    fflush(stdout);
    if (kernel == 0) exit(3);
    skip_list += (skip_list.empty() ? "" : ",") + std::to_string(kernel);
    std::vector<char *> argv;
    for (char **a = arguments; *a; a++)
        argv.push_back(*a);
    char flag[] = "--skip";
    argv.push_back(flag);
    argv.push_back(&skip_list[0]);
    argv.push_back(nullptr);
    execv("/proc/self/exe", argv.data());
    _exit(3);
}

/* Wait for what `kernel` enqueued. */
static inline void settle(Harness &h, int kernel, const char *what) {
    const double limit = 20;
    timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    cudaError_t e;
    while ((e = cudaStreamQuery(h.stream)) == cudaErrorNotReady) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((double)(now.tv_sec - from.tv_sec) > limit) {
            printf("%s: ", what);
            start_over(kernel, "hangs");
        }
    }
    if (e != cudaSuccess) {
        printf("%s: ", what);
        start_over(kernel, cudaGetErrorString(e));
    }
}

template <typename T> constexpr pgd_dtype type_of();
template <> constexpr pgd_dtype type_of<float>() {
    return PGD_F32;
}
template <> constexpr pgd_dtype type_of<__nv_bfloat16>() {
    return PGD_BF16;
}
template <> constexpr pgd_dtype type_of<__half>() {
    return PGD_F16;
}

/* --- packing --- */

static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static inline float dummy_weight(uint64_t seed, uint32_t row, uint32_t col) {
    const uint64_t v = mix(mix(seed + 0x9e3779b97f4a7c15ULL * (row + 1ULL)) + col);
    return ((float)(v >> 40) * 0x1p-23f - 1.0f) * 0.034641016f;
}

/* Index of element (r, c) of the stacked and, with interleave 2, interleaved matrix. In the latter
 * rows 2j and 2j + 1 are gate j and up j. */
static inline size_t packed_index(uint32_t r, uint32_t c, uint32_t k, uint32_t interleave) {
    uint32_t panel = r / 16, row = r % 16;
    if (interleave == 2) panel = r / 2 / 8, row = r / 2 % 8 + r % 2 * 8;
    const uint32_t steps = (k + 15) / 16, in = c % 16;
    const uint32_t lane = row % 8 * 4 + in % 8 / 2, reg = row / 8 + in / 8 * 2;
    return ((size_t)panel * steps + c / 16) * 256 + lane * 8 + reg * 2 + in % 2;
}

template <typename T>
std::vector<T> host_pack(const std::vector<T> &w, uint32_t n, uint32_t k, uint32_t interleave) {
    std::vector<T> p(pgd_k_packed_bytes(n, k) / 2, Harness::from_host<T>(0.0f));
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t c = 0; c < k; c++)
            p[packed_index(r, c, k, interleave)] = w[(size_t)r * k + c];
    return p;
}

/* Take --skip LIST out of the arguments, which the program may be started anew with. */
static inline std::vector<char *> take_skip_list(int argc, char **argv) {
    static std::vector<char *> own;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--skip") && i + 1 < argc)
            skip_list = argv[++i];
        else
            own.push_back(argv[i]);
    }
    own.push_back(nullptr);
    arguments = own.data();
    for (const char *p = skip_list.c_str(); *p; p += *p == ',')
        skipped.push_back((int)strtol(p, const_cast<char **>(&p), 10));
    return own;
}

#endif

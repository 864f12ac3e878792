/* Chooses kernels: scalar C first, which is the oracle and runs on any processor, then each
 * instruction-set level overwrites the rows it does better. No level adds operations, so a masked
 * level runs the same programs. Thread: the one that opens the device. */
#include "cpu_internal.h"

void pgd_cpu_fill_kernels(pgd_cpu_kernels *k, pgd_isa isa) {
    pgd_cpu_kernels_linear(k);
    pgd_cpu_kernels_attn(k);
    pgd_cpu_kernels_norm(k);
    pgd_cpu_kernels_sample(k);
#if defined(PGD_CPU_X86)
    if (isa >= PGD_ISA_AVX512) {
        pgd_cpu_simd_gemm_avx512(k);
        pgd_cpu_simd_rows_avx512(k);
        pgd_cpu_simd_attn_avx512(k);
        pgd_cpu_simd_sample_avx512(k);
    } else if (isa >= PGD_ISA_AVX2) {
        pgd_cpu_simd_gemm_avx2(k);
        pgd_cpu_simd_rows_avx2(k);
        pgd_cpu_simd_attn_avx2(k);
        pgd_cpu_simd_sample_avx2(k);
    }
    if (isa >= PGD_ISA_AVX512BF16) pgd_cpu_kernels_avx512bf16(k);
#else
    (void)isa;
#endif
}

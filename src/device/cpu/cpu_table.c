/* Chooses kernels: scalar C first, which is the oracle and runs on any processor, then each
 * instruction-set level overwrites the rows it does better. No level adds operations, so a masked
 * level runs the same programs. Thread: the one that opens the device. */
#include "cpu_internal.h"

void pgd_cpu_fill_kernels(pgd_cpu_kernels *k, pgd_isa isa) {
    pgd_cpu_kernels_linear(k);
    pgd_cpu_kernels_attn(k);
    pgd_cpu_kernels_norm(k);
    pgd_cpu_kernels_sample(k);
    (void)isa;
}

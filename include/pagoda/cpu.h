/* What this processor can do, and a mask over it so that every level can be tested on one machine.
 */
#ifndef PAGODA_CPU_H
#define PAGODA_CPU_H

#include <stdint.h>

#include "pagoda/status.h"

typedef enum pgd_isa {
    PGD_ISA_SCALAR = 0,
    PGD_ISA_AVX2,       /* AVX2 + FMA + F16C */
    PGD_ISA_AVX512,     /* F, BW, DQ, VL, and above */
    PGD_ISA_AVX512BF16, /* + BF16 */
    PGD_ISA_N
} pgd_isa;

/* The best level of this machine (the operating system's support included). */
pgd_isa pgd_cpu_detect(void);
const char *pgd_isa_name(pgd_isa isa); /* "scalar", "avx2", "avx512", "avx512bf16" */
/* Parse a name. Errors: PGD_E_INVALID, naming the choices. */
pgd_status pgd_isa_parse(const char *s, pgd_isa *out, pgd_error *err);
/* Cores that this process may run on (affinity and cgroup quota, at least 1). */
uint32_t pgd_cpu_count(void);
/* Physical bytes: in all, and available now (the lower of MemAvailable and the cgroup's room). */
uint64_t pgd_mem_total(void);
uint64_t pgd_mem_available(void);
/* Bytes of the largest cache level; 0 when unknown. */
uint64_t pgd_cpu_l3_bytes(void);

#endif

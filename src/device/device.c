/* Names of the operations. Opening a device is the backend's business (cpu/cpu_device.c); checking
 * that a program's operations are there is the builder's. Thread: any. */
#include "pagoda/device.h"

const char *pgd_op_name(pgd_op op) {
    static const char *const names[PGD_OP_N] = {
#define PGD_OP_NAME(U, l) [PGD_OP_##U] = #l,
        PGD_OPS(PGD_OP_NAME)
#undef PGD_OP_NAME
    };
    return (unsigned)op < PGD_OP_N ? names[op] : "?";
}

/* wgmma m64nNk16, A in registers (the fragments of mma_m16n8k16, one panel of 16 rows a warp), B in
 * shared memory behind a descriptor, K-major; d += a b with f32 accumulators: d[4j .. 4j + 3] are d
 * of mma_m16n8k16 for columns 8j .. 8j + 7. The operand lists are as long as they look. */
#ifndef PAGODA_KERNELS_WGMMA_CUH
#define PAGODA_KERNELS_WGMMA_CUH

#include "ptx.cuh"

template <typename T, int kN> struct Wgmma;

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* clang-format off */
#define D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define D8(i) D4(i), D4(i + 4)
#define D16(i) D8(i), D8(i + 8)
#define D32(i) D16(i), D16(i + 16)
#define D64(i) D32(i), D32(i + 32)
#define D128(i) D64(i), D64(i + 64)

#define REGS_8 \
    "%0,%1,%2,%3,%4,%5,%6,%7"
#define REGS_16 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define REGS_32 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define REGS_64 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define REGS_128 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
    "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
    "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95," \
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111," \
    "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

/* acc: the accumulators' constraints, regs their operands; a, the descriptor b and the constant 1
 * (accumulate) are the operands that follow them. */
#define WGMMA(type, name, n, regs, acc, a, b, one)                                                 \
    template <> struct Wgmma<type, n> {                                                            \
        static __device__ __forceinline__ void run(float (&d)[n / 2], const uint4 &f,              \
                                                   uint64_t desc) {                                \
            asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, " one ", 0;\n\t"                   \
                         "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." name "." name " {" regs \
                         "}, {" a "}, " b ", p, 1, 1, 0;\n\t}"                                     \
                         : acc                                                                     \
                         : "r"(f.x), "r"(f.y), "r"(f.z), "r"(f.w), "l"(desc), "r"(1)               \
                         : "memory");                                                              \
        }                                                                                          \
    };
WGMMA(__nv_bfloat16, "bf16", 16, REGS_8, D8(0), "%8,%9,%10,%11", "%12", "%13")
WGMMA(__half, "f16", 16, REGS_8, D8(0), "%8,%9,%10,%11", "%12", "%13")
WGMMA(__nv_bfloat16, "bf16", 32, REGS_16, D16(0), "%16,%17,%18,%19", "%20", "%21")
WGMMA(__half, "f16", 32, REGS_16, D16(0), "%16,%17,%18,%19", "%20", "%21")
WGMMA(__nv_bfloat16, "bf16", 64, REGS_32, D32(0), "%32,%33,%34,%35", "%36", "%37")
WGMMA(__half, "f16", 64, REGS_32, D32(0), "%32,%33,%34,%35", "%36", "%37")
WGMMA(__nv_bfloat16, "bf16", 128, REGS_64, D64(0), "%64,%65,%66,%67", "%68", "%69")
WGMMA(__half, "f16", 128, REGS_64, D64(0), "%64,%65,%66,%67", "%68", "%69")
WGMMA(__nv_bfloat16, "bf16", 256, REGS_128, D128(0), "%128,%129,%130,%131", "%132", "%133")
WGMMA(__half, "f16", 256, REGS_128, D128(0), "%128,%129,%130,%131", "%132", "%133")
/* clang-format on */

#undef D4
#undef D8
#undef D16
#undef D32
#undef D64
#undef D128
#undef REGS_8
#undef REGS_16
#undef REGS_32
#undef REGS_64
#undef REGS_128
#undef WGMMA

#endif

#endif

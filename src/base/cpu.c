/* What the machine has: instruction sets, cores, memory, cache.
 *
 * Asks the processor itself (CPUID, XGETBV) rather than the compiler's helpers, which differ in the
 * names they know, and asks the kernel for what a container may use: the affinity mask, and the
 * cgroup's CPU quota and memory limit, v2 or v1. Everything is read afresh at each call; callers
 * ask at start. Limits of all cgroups up to the root apply, so each is visited. Thread: any. */
#include "pagoda/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "pagoda/fs.h"
#include "pagoda/str.h"

static const char *const isa_names[PGD_ISA_N] = {"scalar", "avx2", "avx512", "avx512bf16"};

#if defined(__x86_64__)
static bool has(uint32_t reg, unsigned bit) {
    return (reg >> bit & 1) != 0;
}

/* XCR0: which register states the operating system saves. */
static uint64_t saved_states(void) {
    uint32_t lo;
    uint32_t hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

pgd_isa pgd_cpu_detect(void) {
    enum { YMM = 0x6, ZMM = 0xE6 };
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return PGD_ISA_SCALAR;
    const bool fma = has(c, 12);
    const bool osxsave = has(c, 27);
    const bool avx = has(c, 28);
    const bool f16c = has(c, 29);
    if (!osxsave || !avx || !fma || !f16c) return PGD_ISA_SCALAR;
    const uint64_t saved = saved_states();
    if ((saved & YMM) != YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, 5))
        return PGD_ISA_SCALAR;
    /* F, DQ, BW, VL */
    const bool avx512 = has(b, 16) && has(b, 17) && has(b, 30) && has(b, 31);
    if ((saved & ZMM) != ZMM || !avx512) return PGD_ISA_AVX2;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !has(a, 5)) return PGD_ISA_AVX512;
    return PGD_ISA_AVX512BF16;
}
#else
pgd_isa pgd_cpu_detect(void) {
    return PGD_ISA_SCALAR;
}
#endif

const char *pgd_isa_name(pgd_isa isa) {
    return (unsigned)isa < PGD_ISA_N ? isa_names[isa] : "unknown";
}

pgd_status pgd_isa_parse(const char *s, pgd_isa *out, pgd_error *err) {
    for (int i = 0; i < PGD_ISA_N; i++) {
        if (strcmp(s, isa_names[i]) != 0) continue;
        *out = (pgd_isa)i;
        return PGD_OK;
    }
    return pgd_fail(err, PGD_E_INVALID,
                    "unknown instruction set '%s': scalar, avx2, avx512 or avx512bf16 expected", s);
}

/* First line of a small file of /proc or /sys, without its newline. */
static bool read_line(const char *path, char *out, int out_bytes) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    const bool ok = fgets(out, out_bytes, f) != NULL;
    (void)fclose(f);
    if (ok) out[strcspn(out, "\n")] = '\0';
    return ok;
}

static bool read_u64(const char *path, uint64_t *out) {
    char line[64];
    return read_line(path, line, sizeof line) && pgd_parse_u64(pgd_sv_c(line), out);
}

/* The number in the line of `path` that begins with `name` and blanks. */
static bool read_field(const char *path, const char *name, uint64_t *out) {
    char line[256];
    bool found = false;
    const size_t n = strlen(name);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    while (!found && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, n) != 0) continue;
        const char *p = line + n + strspn(line + n, " \t");
        found = p > line + n && pgd_parse_u64((pgd_sv){p, strspn(p, "0123456789")}, out);
    }
    (void)fclose(f);
    return found;
}

typedef struct cgroup_limits {
    uint64_t cpus;   /* quota rounded up to whole cores; UINT64_MAX: none */
    uint64_t memory; /* bytes of limit */
    uint64_t room;   /* bytes left below the tightest limit */
} cgroup_limits;

static void lower(uint64_t *v, uint64_t bound) {
    if (bound < *v) *v = bound;
}

static void apply_quota(cgroup_limits *g, uint64_t quota_us, uint64_t period_us) {
    if (period_us == 0) return;
    const uint64_t cpus = quota_us / period_us + (quota_us % period_us != 0);
    lower(&g->cpus, cpus ? cpus : 1);
}

/* Page cache that the kernel can drop at once counts as room. */
static void apply_memory(cgroup_limits *g, uint64_t limit, uint64_t used, uint64_t droppable) {
    lower(&g->memory, limit);
    const uint64_t held = used > droppable ? used - droppable : 0;
    lower(&g->room, limit > held ? limit - held : 0);
}

/* Limits of the v2 group in folder dir. */
static void visit_v2(cgroup_limits *g, const char *dir) {
    char path[PGD_ERROR_MSG_BYTES];
    char line[64];
    uint64_t limit = 0;
    uint64_t used = 0;
    uint64_t droppable = 0;
    if (pgd_fs_join(path, sizeof path, dir, "cpu.max", NULL) == PGD_OK &&
        read_line(path, line, sizeof line)) {
        const char *gap = strchr(line, ' ');
        uint64_t quota = 0;
        uint64_t period = 0;
        if (gap && pgd_parse_u64((pgd_sv){line, (size_t)(gap - line)}, &quota) &&
            pgd_parse_u64(pgd_sv_c(gap + 1), &period))
            apply_quota(g, quota, period);
    }
    if (pgd_fs_join(path, sizeof path, dir, "memory.max", NULL) != PGD_OK ||
        !read_u64(path, &limit))
        return; /* "max" is no number: no limit here */
    if (pgd_fs_join(path, sizeof path, dir, "memory.stat", NULL) == PGD_OK)
        (void)read_field(path, "inactive_file", &droppable);
    if (pgd_fs_join(path, sizeof path, dir, "memory.current", NULL) == PGD_OK &&
        read_u64(path, &used))
        apply_memory(g, limit, used, droppable);
}

/* v1 as containers mount it: the group's own folder is the root of each controller. */
static void visit_v1(cgroup_limits *g) {
    uint64_t quota = 0;
    uint64_t period = 0;
    uint64_t limit = 0;
    uint64_t used = 0;
    uint64_t droppable = 0;
    if (read_u64("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota) &&
        read_u64("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period))
        apply_quota(g, quota, period);
    (void)read_field("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file", &droppable);
    if (read_u64("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit) &&
        read_u64("/sys/fs/cgroup/memory/memory.usage_in_bytes", &used))
        apply_memory(g, limit, used, droppable);
}

/* Own group first, then each parent: cut the path at its last slash until nothing is left. */
static cgroup_limits read_cgroup(void) {
    cgroup_limits g = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    char line[512];
    char dir[600];
    visit_v1(&g);
    if (!read_line("/proc/self/cgroup", line, sizeof line) || strncmp(line, "0::", 3) != 0)
        return g;
    char *group = line + 3;
    for (;;) {
        (void)snprintf(dir, sizeof dir, "/sys/fs/cgroup%s", group);
        visit_v2(&g, dir);
        char *const slash = strrchr(group, '/');
        if (!slash || slash[1] == '\0') return g;
        slash[slash == group ? 1 : 0] = '\0';
    }
}

uint32_t pgd_cpu_count(void) {
    cpu_set_t set;
    uint64_t n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0) n = (uint64_t)CPU_COUNT(&set);
    lower(&n, read_cgroup().cpus);
    return n ? (uint32_t)n : 1;
}

static uint64_t meminfo_bytes(const char *name) {
    uint64_t kib = 0;
    return read_field("/proc/meminfo", name, &kib) ? kib << 10 : 0;
}

uint64_t pgd_mem_total(void) {
    uint64_t n = meminfo_bytes("MemTotal:");
    lower(&n, read_cgroup().memory);
    return n;
}

uint64_t pgd_mem_available(void) {
    uint64_t n = meminfo_bytes("MemAvailable:");
    lower(&n, read_cgroup().room);
    return n;
}

uint64_t pgd_cpu_l3_bytes(void) {
    uint64_t best_level = 0;
    uint64_t bytes = 0;
    for (int i = 0; i < 8; i++) {
        char path[128];
        char size[32];
        uint64_t level = 0;
        uint64_t kib = 0;
        (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        if (!read_u64(path, &level) || level < best_level) continue;
        (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if (!read_line(path, size, sizeof size)) continue;
        const size_t n = strspn(size, "0123456789");
        if (size[n] != 'K' || !pgd_parse_u64((pgd_sv){size, n}, &kib)) continue;
        best_level = level;
        bytes = kib << 10;
    }
    return bytes;
}

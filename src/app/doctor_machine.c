/* The part of doctor that looks at the program and the machine. The numbers that decide something
 * (cores, memory) come from the functions that serve asks, which know a container's limits; beside
 * them stand the host's, so that a limit is seen. Main thread. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/doctor.h"
#include "pagoda/cpu.h"

enum { OTHER_FILES = 64 }; /* besides connections: listeners, the model, pipes, a GPU's */

#if defined(__clang__)
#define COMPILER __VERSION__ /* begins with the compiler's name */
#else
#define COMPILER "gcc " __VERSION__
#endif

#if defined(__has_feature)
#define HAS_FEATURE(f) __has_feature(f)
#else
#define HAS_FEATURE(f) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define SANITIZER ", address sanitizer"
#elif defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define SANITIZER ", thread sanitizer"
#else
#define SANITIZER ""
#endif
#ifdef PGD_CHECKED
#define CHECKED ", checked build"
#else
#define CHECKED ""
#endif
#ifdef __OPTIMIZE__
#define OPTIMIZED true
#else
#define OPTIMIZED false
#endif

static double gib(uint64_t bytes) {
    return (double)bytes / (1 << 30);
}

static void program(pgd_report *r) {
    const bool slow = !OPTIMIZED || SANITIZER[0] != '\0';
    pgd_report_add(r, slow ? PGD_VERDICT_NOTE : PGD_VERDICT_OK, "program",
                   slow ? "build with cmake --preset release for speed" : NULL,
                   "pagoda " PGD_VERSION ", " COMPILER "%s" SANITIZER CHECKED,
                   OPTIMIZED ? "" : ", not optimized");
}

/* The first line of path that begins with `key`, behind its colon; or "unknown". */
static void read_value(const char *path, const char *key, char *out, int room) {
    char line[512];
    (void)snprintf(out, (size_t)room, "unknown");
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        const char *colon = strchr(line, ':');
        const char *value = colon != NULL ? colon + 1 : line;
        value += strspn(value, " \t");
        (void)snprintf(out, (size_t)room, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    if (f != NULL) (void)fclose(f);
}

static void operating_system(pgd_report *r) {
    char release[128];
    read_value("/proc/sys/kernel/osrelease", "", release, sizeof(release));
    pgd_report_add(r, PGD_VERDICT_OK, "system", NULL, "Linux %s", release);
}

static void processor(pgd_report *r, const pgd_config *config) {
    char name[128];
    read_value("/proc/cpuinfo", "model name", name, sizeof(name));
    const pgd_isa best = pgd_cpu_detect();
    const bool chosen = config != NULL && strcmp(config->cpu_isa, "auto") != 0;
    pgd_report_add(r, best == PGD_ISA_SCALAR ? PGD_VERDICT_NOTE : PGD_VERDICT_OK, "processor",
                   best == PGD_ISA_SCALAR ? "the CPU backend is slow without AVX2" : NULL,
                   "%s, %u of %ld cores usable, instruction set %s%s%s", name, pgd_cpu_count(),
                   sysconf(_SC_NPROCESSORS_ONLN), pgd_isa_name(best), chosen ? ", asked for: " : "",
                   chosen ? config->cpu_isa : "");
}

static void memory(pgd_report *r) {
    const uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t total = pgd_mem_total();
    const bool limited = total < host / 64 * 63; /* the kernel keeps some of what there is */
    pgd_report_add(r, PGD_VERDICT_OK, "memory", NULL, "%.2f GiB available of %.2f GiB%s%.2f%s",
                   gib(pgd_mem_available()), gib(total),
                   limited ? ", a cgroup's limit on a host of " : " (host: ", gib(host),
                   limited ? " GiB" : " GiB, no cgroup limit below it)");
}

static void open_files(pgd_report *r, const pgd_config *config) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    const uint64_t wanted = (config != NULL ? config->max_connections : 0) + OTHER_FILES;
    const bool few = limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted;
    if (few)
        pgd_report_add(r, PGD_VERDICT_NOTE, "open files",
                       "ulimit -n, LimitNOFILE= of a systemd unit, or lower --max-connections",
                       "limit %llu, --max-connections %llu wants %llu: connections beyond the "
                       "limit are not accepted",
                       (unsigned long long)limit.rlim_cur,
                       (unsigned long long)(config != NULL ? config->max_connections : 0),
                       (unsigned long long)wanted);
    else
        pgd_report_add(r, PGD_VERDICT_OK, "open files", NULL, "limit %llu",
                       (unsigned long long)limit.rlim_cur);
}

/* Weights and KV blocks of the CPU backend ask for them (src/base/mem.c). */
static void huge_pages(pgd_report *r) {
    char modes[128];
    read_value("/sys/kernel/mm/transparent_hugepage/enabled", "", modes, sizeof(modes));
    const bool off = strstr(modes, "[never]") != NULL;
    pgd_report_add(r, off ? PGD_VERDICT_NOTE : PGD_VERDICT_OK, "huge pages",
                   off ? "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, for speed on "
                         "the CPU"
                       : NULL,
                   "transparent huge pages: %s", modes);
}

void pgd_doctor_machine(pgd_report *r, const pgd_config *config) {
    program(r);
    operating_system(r);
    processor(r, config);
    memory(r);
    open_files(r, config);
    huge_pages(r);
}

/* The heap, its guard and its faults.
 *
 * Owns the only calls of malloc and friends in the program. Two things hang on that: a thread may
 * declare a stretch in which it allocates nothing (the step path, checked builds), and a test may
 * make the n-th allocation of its thread fail. Both are per thread, so that neither needs a lock
 * and neither disturbs a neighbour. Does not count bytes: arenas and the KV pool account for
 * themselves. Thread: any. */
#include "pagoda/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pagoda/status.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

static _Thread_local int64_t fail_countdown = -1; /* allocations left before one fails; -1: off */
static _Thread_local bool fail_fired;
#ifdef PGD_CHECKED
static _Thread_local unsigned noalloc_depth;
#endif

/* Called before every allocation; false when this one must fail. */
static bool admit(void) {
#ifdef PGD_CHECKED
    PGD_ASSERT(noalloc_depth == 0);
#endif
    if (fail_countdown < 0) return true;
    if (fail_countdown-- > 0) return true;
    fail_fired = true;
    return false;
}

void *pgd_malloc(size_t bytes) {
    return admit() ? malloc(bytes ? bytes : 1) : NULL;
}

void *pgd_calloc(size_t n, size_t bytes) {
    if (!admit()) return NULL;
    return n && bytes ? calloc(n, bytes) : calloc(1, 1);
}

void *pgd_realloc(void *p, size_t bytes) {
    return admit() ? realloc(p, bytes ? bytes : 1) : NULL;
}

void pgd_free(void *p) {
    free(p);
}

char *pgd_strndup(const char *s, size_t n) {
    char *copy = n < SIZE_MAX ? pgd_malloc(n + 1) : NULL;
    if (!copy) return NULL;
    if (n) memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

static size_t round_up(size_t v, size_t to) {
    return (v + to - 1) & ~(to - 1);
}

/* Map more than asked and give back both ends: mmap knows no alignment above a page. */
static void *map_aligned(size_t bytes, size_t align) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t want = round_up(bytes, page);
    size_t span;
    if (want < bytes || !pgd_add_size(want, align, &span)) return NULL;
    char *base = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return NULL;
    char *p = (char *)round_up((uintptr_t)base, align);
    if (p > base) (void)munmap(base, (size_t)(p - base));
    char *const end = p + want;
    if (base + span > end) (void)munmap(end, (size_t)(base + span - end));
    (void)madvise(p, want, MADV_HUGEPAGE); /* advice: refusal costs only speed */
    return p;
}

void *pgd_aligned_alloc(size_t bytes, size_t align) {
    PGD_ASSERT(align >= 16 && (align & (align - 1)) == 0);
    if (!admit()) return NULL;
    if (bytes >= HUGE_PAGE_BYTES)
        return map_aligned(bytes, align > HUGE_PAGE_BYTES ? align : HUGE_PAGE_BYTES);
    void *p = NULL;
    if (posix_memalign(&p, align, bytes ? bytes : 1) != 0) return NULL;
    memset(p, 0, bytes ? bytes : 1);
    return p;
}

void pgd_aligned_free(void *p, size_t bytes) {
    if (!p) return;
    if (bytes >= HUGE_PAGE_BYTES)
        (void)munmap(p, round_up(bytes, (size_t)sysconf(_SC_PAGESIZE)));
    else
        free(p);
}

bool pgd_mul_size(size_t a, size_t b, size_t *out) {
    size_t v;
    if (__builtin_mul_overflow(a, b, &v)) return false;
    *out = v;
    return true;
}

bool pgd_add_size(size_t a, size_t b, size_t *out) {
    size_t v;
    if (__builtin_add_overflow(a, b, &v)) return false;
    *out = v;
    return true;
}

void pgd_noalloc_begin(void) {
#ifdef PGD_CHECKED
    noalloc_depth++;
#endif
}

void pgd_noalloc_end(void) {
#ifdef PGD_CHECKED
    PGD_ASSERT(noalloc_depth > 0);
    noalloc_depth--;
#endif
}

bool pgd_mem_fail_after(int64_t n) {
    const bool fired = fail_fired;
    fail_countdown = n;
    fail_fired = false;
    return fired;
}

/* Bump arenas: memory by lifetime.
 *
 * An arena is a list of chunks, newest first; allocation takes from the newest and opens a larger
 * one when it is full. Cleanup records live in the arena itself, so that registering one needs no
 * second kind of memory. Invariants: every pointer given out is aligned to 16; `used` counts what
 * was given out, padding included, and never passes the limit. Nothing is freed alone, and no
 * destructor runs before reset or destroy. One thread at a time owns an arena. */
#include "pagoda/arena.h"

#include <string.h>

#include "pagoda/mem.h"

enum { ALIGN = 16, FIRST_CHUNK_BYTES = 4096, MAX_CHUNK_BYTES = 1 << 20 };

typedef struct chunk {
    struct chunk *older;
    size_t cap, used;
    _Alignas(ALIGN) unsigned char data[];
} chunk;

typedef struct cleanup {
    struct cleanup *earlier;
    void (*fn)(void *);
    void *arg;
} cleanup;

struct pgd_arena {
    chunk *newest; /* NULL until the first allocation */
    cleanup *last;
    size_t limit, used;
};

pgd_status pgd_arena_create(pgd_arena **out, size_t limit_bytes) {
    pgd_arena *a = pgd_calloc(1, sizeof *a);
    if (!a) return PGD_E_NOMEM;
    a->limit = limit_bytes ? limit_bytes : SIZE_MAX;
    *out = a;
    return PGD_OK;
}

/* A cleanup may not allocate from its arena: the record being read lives there. */
static void run_cleanups(pgd_arena *a) {
    while (a->last) {
        const cleanup c = *a->last;
        a->last = c.earlier;
        c.fn(c.arg);
    }
}

void pgd_arena_destroy(pgd_arena **a) {
    if (!a || !*a) return;
    run_cleanups(*a);
    for (chunk *c = (*a)->newest; c;) {
        chunk *const older = c->older;
        pgd_free(c);
        c = older;
    }
    pgd_free(*a);
    *a = NULL;
}

void pgd_arena_reset(pgd_arena *a) {
    run_cleanups(a);
    while (a->newest && a->newest->older) {
        chunk *const c = a->newest;
        a->newest = c->older;
        pgd_free(c);
    }
    if (a->newest) a->newest->used = 0;
    a->used = 0;
}

/* Chunks double up to a bound, and a large request gets a chunk of its own size. */
static chunk *open_chunk(pgd_arena *a, size_t need) {
    size_t cap = a->newest ? a->newest->cap * 2 : FIRST_CHUNK_BYTES;
    if (cap > MAX_CHUNK_BYTES) cap = MAX_CHUNK_BYTES;
    if (cap < need) cap = need;
    size_t total;
    chunk *c = pgd_add_size(cap, sizeof(chunk), &total) ? pgd_malloc(total) : NULL;
    if (!c) return NULL;
    *c = (chunk){.older = a->newest, .cap = cap};
    a->newest = c;
    return c;
}

void *pgd_arena_alloc(pgd_arena *a, size_t bytes) {
    if (bytes > SIZE_MAX - ALIGN) return NULL;
    const size_t need = bytes ? (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (need > a->limit - a->used) return NULL;
    chunk *c = a->newest;
    if (!c || need > c->cap - c->used) c = open_chunk(a, need);
    if (!c) return NULL;
    void *const p = c->data + c->used;
    c->used += need;
    a->used += need;
    return p;
}

void *pgd_arena_zalloc(pgd_arena *a, size_t bytes) {
    void *const p = pgd_arena_alloc(a, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *pgd_arena_array(pgd_arena *a, size_t n, size_t bytes) {
    size_t total;
    return pgd_mul_size(n, bytes, &total) ? pgd_arena_zalloc(a, total) : NULL;
}

char *pgd_arena_strndup(pgd_arena *a, const char *s, size_t n) {
    char *copy = n < SIZE_MAX ? pgd_arena_alloc(a, n + 1) : NULL;
    if (!copy) return NULL;
    if (n) memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

pgd_status pgd_arena_cleanup(pgd_arena *a, void (*fn)(void *), void *arg) {
    cleanup *c = pgd_arena_alloc(a, sizeof *c);
    if (!c) return PGD_E_NOMEM;
    *c = (cleanup){.earlier = a->last, .fn = fn, .arg = arg};
    a->last = c;
    return PGD_OK;
}

size_t pgd_arena_used(const pgd_arena *a) {
    return a->used;
}

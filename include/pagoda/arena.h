/* Arenas: bump allocation by lifetime (process, request, step). Nothing in an arena is freed alone;
 * cleanups run in reverse order of registration. One thread at a time owns an arena. */
#ifndef PAGODA_ARENA_H
#define PAGODA_ARENA_H

#include <stddef.h>

#include "pagoda/status.h"

typedef struct pgd_arena pgd_arena;

/* A new arena that will hold at most limit_bytes (0: no limit). Owned by the caller.
 * Errors: PGD_E_NOMEM. */
pgd_status pgd_arena_create(pgd_arena **out, size_t limit_bytes);
/* Run cleanups, free everything, *a = NULL. NULL-safe. */
void pgd_arena_destroy(pgd_arena **a);
/* Run cleanups and forget every allocation, keeping the first chunk for reuse. */
void pgd_arena_reset(pgd_arena *a);

/* bytes of uninitialised (alloc) or zeroed (zalloc) memory aligned to 16; borrowed until reset or
 * destroy. NULL when memory or the limit is exhausted. */
void *pgd_arena_alloc(pgd_arena *a, size_t bytes);
void *pgd_arena_zalloc(pgd_arena *a, size_t bytes);
/* n items of `bytes` each, zeroed; NULL also when the product overflows. */
void *pgd_arena_array(pgd_arena *a, size_t n, size_t bytes);
/* NUL-terminated copy of s[0..n). */
char *pgd_arena_strndup(pgd_arena *a, const char *s, size_t n);
/* Call fn(arg) at reset or destroy. Errors: PGD_E_NOMEM (fn is then not registered). */
pgd_status pgd_arena_cleanup(pgd_arena *a, void (*fn)(void *), void *arg);
/* Bytes handed out since creation or the last reset. */
size_t pgd_arena_used(const pgd_arena *a);

#endif

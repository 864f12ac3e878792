/* Memory. All heap use outside src/base goes through here, so that tests can fail the n-th
 * allocation and so that the step path can prove that it allocates nothing. Thread: any. */
#ifndef PAGODA_MEM_H
#define PAGODA_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As malloc/calloc/realloc/free, and NULL on failure. A size of 0 gives a unique pointer. */
void *pgd_malloc(size_t bytes);
void *pgd_calloc(size_t n, size_t bytes);
void *pgd_realloc(void *p, size_t bytes);
void pgd_free(void *p);
/* Owned NUL-terminated copy of s[0..n). NULL on failure. */
char *pgd_strndup(const char *s, size_t n);

/* Zeroed memory aligned to `align` (a power of two >= 16), huge pages advised from 2 MiB on. Free
 * with pgd_aligned_free and the same size. NULL on failure. */
void *pgd_aligned_alloc(size_t bytes, size_t align);
void pgd_aligned_free(void *p, size_t bytes);

/* *out = a * b (or a + b); false on overflow, *out untouched. */
bool pgd_mul_size(size_t a, size_t b, size_t *out);
bool pgd_add_size(size_t a, size_t b, size_t *out);

/* Between begin and end, an allocation on this thread aborts (checked builds only: compiled in when
 * PGD_CHECKED is defined, else empty). Nests. */
void pgd_noalloc_begin(void);
void pgd_noalloc_end(void);

/* Tests: let n more allocations of this thread succeed, then fail one (n < 0: never fail). Returns
 * whether the previously armed failure has fired. */
bool pgd_mem_fail_after(int64_t n);

#endif

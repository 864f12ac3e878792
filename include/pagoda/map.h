/* Open-addressing hash maps: 64-bit keys, and byte-string keys (borrowed). Values are 64-bit.
 * Seeded hash; growth doubles at 7/8 load. One thread at a time. */
#ifndef PAGODA_MAP_H
#define PAGODA_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_map64 pgd_map64;
/* capacity_hint entries without growth. Errors: PGD_E_NOMEM. */
pgd_status pgd_map64_create(pgd_map64 **out, size_t capacity_hint);
void pgd_map64_destroy(pgd_map64 **m);
/* Insert or replace. Errors: PGD_E_NOMEM when it must grow and cannot. */
pgd_status pgd_map64_put(pgd_map64 *m, uint64_t key, uint64_t value);
bool pgd_map64_get(const pgd_map64 *m, uint64_t key, uint64_t *value);
bool pgd_map64_del(pgd_map64 *m, uint64_t key); /* whether it was there */
size_t pgd_map64_count(const pgd_map64 *m);

typedef struct pgd_strmap pgd_strmap; /* keys are borrowed views that must outlive the map */
pgd_status pgd_strmap_create(pgd_strmap **out, size_t capacity_hint);
void pgd_strmap_destroy(pgd_strmap **m);
pgd_status pgd_strmap_put(pgd_strmap *m, pgd_sv key, uint64_t value);
bool pgd_strmap_get(const pgd_strmap *m, pgd_sv key, uint64_t *value);
size_t pgd_strmap_count(const pgd_strmap *m);

#endif

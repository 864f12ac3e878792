/* Bookkeeping of device memory.
 *
 * An executor allocates everything while it opens and frees everything when it closes, so a list in
 * order of allocation is all the bookkeeping there is. Thread: the rank's. */
#include "devmem.h"

#include <inttypes.h>

#include "pagoda/mem.h"

static pgd_status make_room(devmem *m) {
    if (m->n < m->cap) return PGD_OK;
    const uint32_t cap = m->cap ? 2 * m->cap : 64;
    devmem_block *const block = pgd_realloc(m->block, cap * sizeof *block);
    if (!block) return PGD_E_NOMEM;
    m->block = block;
    m->cap = cap;
    return PGD_OK;
}

pgd_status devmem_array(devmem *m, const char *what, uint64_t n, uint64_t bytes, void **out,
                        pgd_error *err) {
    size_t total;
    if (!pgd_mul_size((size_t)n, (size_t)bytes, &total))
        return pgd_fail(err, PGD_E_LIMIT, "%s: %" PRIu64 " x %" PRIu64 " bytes overflow", what, n,
                        bytes);
    void *const p = make_room(m) == PGD_OK ? m->dev->alloc(m->dev, total ? total : 1) : NULL;
    if (!p)
        return pgd_fail(err, PGD_E_NOMEM, "%s: the device has no room for %zu bytes", what, total);
    m->block[m->n++] = (devmem_block){p, total ? total : 1};
    m->total_bytes += total;
    *out = p;
    return PGD_OK;
}

void devmem_free_all(devmem *m) {
    while (m->n > 0) {
        m->n--;
        m->dev->free(m->dev, m->block[m->n].p, m->block[m->n].bytes);
    }
    pgd_free(m->block);
    *m = (devmem){.dev = m->dev};
}

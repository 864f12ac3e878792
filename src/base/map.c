/* Open-addressing hash maps.
 *
 * Linear probing over a power of two of cells. Deletion shifts the following run back, so that no
 * tombstones pile up in the engine's long-lived maps. The hash seed is drawn per map: request ids
 * and vocabulary strings come from outside, and a fixed seed would let them be chosen to collide.
 * There is no iteration, so the seed never shows in any result. Invariants: at most 7/8 of the
 * cells are used; a failed growth leaves the map as it was. One thread at a time. */
#include "pagoda/map.h"

#include "pagoda/hash.h"
#include "pagoda/mem.h"

enum { MIN_CELLS = 16 };

/* Cells for n entries at 7/8 load, a power of two; 0 on overflow. */
static size_t cells_for(size_t n) {
    size_t cells = MIN_CELLS;
    while (cells - cells / 8 < n) {
        if (cells > SIZE_MAX / 2) return 0;
        cells *= 2;
    }
    return cells;
}

static uint64_t random_seed(void) {
    uint64_t seed;
    pgd_random_bytes(&seed, sizeof seed);
    return seed;
}

typedef struct cell64 {
    uint64_t key, value;
    bool used;
} cell64;

struct pgd_map64 {
    cell64 *cells;
    size_t n_cells, count;
    uint64_t seed;
};

/* Finalizer of MurmurHash3: every bit of the key reaches every bit of the place. */
static size_t home64(const pgd_map64 *m, uint64_t key) {
    uint64_t h = key ^ m->seed;
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCDu;
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53u;
    return (size_t)(h ^ h >> 33) & (m->n_cells - 1);
}

/* The cell that holds key, or the free one where it belongs. */
static size_t probe64(const pgd_map64 *m, uint64_t key) {
    size_t i = home64(m, key);
    while (m->cells[i].used && m->cells[i].key != key)
        i = (i + 1) & (m->n_cells - 1);
    return i;
}

pgd_status pgd_map64_create(pgd_map64 **out, size_t capacity_hint) {
    const size_t n_cells = cells_for(capacity_hint);
    pgd_map64 *m = n_cells ? pgd_calloc(1, sizeof *m) : NULL;
    if (!m) return PGD_E_NOMEM;
    *m = (pgd_map64){
        .cells = pgd_calloc(n_cells, sizeof(cell64)), .n_cells = n_cells, .seed = random_seed()};
    if (!m->cells) {
        pgd_free(m);
        return PGD_E_NOMEM;
    }
    *out = m;
    return PGD_OK;
}

void pgd_map64_destroy(pgd_map64 **m) {
    if (!m || !*m) return;
    pgd_free((*m)->cells);
    pgd_free(*m);
    *m = NULL;
}

static pgd_status grow64(pgd_map64 *m) {
    if (m->n_cells > SIZE_MAX / 2) return PGD_E_NOMEM;
    const pgd_map64 old = *m;
    cell64 *const cells = pgd_calloc(old.n_cells * 2, sizeof *cells);
    if (!cells) return PGD_E_NOMEM;
    m->cells = cells;
    m->n_cells = old.n_cells * 2;
    for (size_t i = 0; i < old.n_cells; i++)
        if (old.cells[i].used) m->cells[probe64(m, old.cells[i].key)] = old.cells[i];
    pgd_free(old.cells);
    return PGD_OK;
}

pgd_status pgd_map64_put(pgd_map64 *m, uint64_t key, uint64_t value) {
    size_t i = probe64(m, key);
    if (!m->cells[i].used) {
        if (m->count >= m->n_cells - m->n_cells / 8) {
            PGD_TRY(grow64(m));
            i = probe64(m, key);
        }
        m->count++;
    }
    m->cells[i] = (cell64){.key = key, .value = value, .used = true};
    return PGD_OK;
}

bool pgd_map64_get(const pgd_map64 *m, uint64_t key, uint64_t *value) {
    const cell64 *c = &m->cells[probe64(m, key)];
    if (!c->used) return false;
    *value = c->value;
    return true;
}

/* Close the gap: each cell of the run after it moves back unless that would put it before its
 * home. Distances are taken modulo the table, since runs wrap. */
bool pgd_map64_del(pgd_map64 *m, uint64_t key) {
    const size_t mask = m->n_cells - 1;
    size_t gap = probe64(m, key);
    if (!m->cells[gap].used) return false;
    for (size_t i = (gap + 1) & mask; m->cells[i].used; i = (i + 1) & mask) {
        const size_t from_home = (i - home64(m, m->cells[i].key)) & mask;
        if (from_home < ((i - gap) & mask)) continue;
        m->cells[gap] = m->cells[i];
        gap = i;
    }
    m->cells[gap] = (cell64){0};
    m->count--;
    return true;
}

size_t pgd_map64_count(const pgd_map64 *m) {
    return m->count;
}

typedef struct cellstr {
    pgd_sv key;
    uint64_t hash, value;
    bool used;
} cellstr;

struct pgd_strmap {
    cellstr *cells;
    size_t n_cells, count;
    uint64_t seed;
};

/* As probe64; the full hash is compared first, so that the bytes of other keys are rarely read. */
static size_t probe_str(const pgd_strmap *m, pgd_sv key, uint64_t hash) {
    const size_t mask = m->n_cells - 1;
    size_t i = (size_t)hash & mask;
    while (m->cells[i].used && !(m->cells[i].hash == hash && pgd_sv_eq(m->cells[i].key, key)))
        i = (i + 1) & mask;
    return i;
}

pgd_status pgd_strmap_create(pgd_strmap **out, size_t capacity_hint) {
    const size_t n_cells = cells_for(capacity_hint);
    pgd_strmap *m = n_cells ? pgd_calloc(1, sizeof *m) : NULL;
    if (!m) return PGD_E_NOMEM;
    *m = (pgd_strmap){
        .cells = pgd_calloc(n_cells, sizeof(cellstr)), .n_cells = n_cells, .seed = random_seed()};
    if (!m->cells) {
        pgd_free(m);
        return PGD_E_NOMEM;
    }
    *out = m;
    return PGD_OK;
}

void pgd_strmap_destroy(pgd_strmap **m) {
    if (!m || !*m) return;
    pgd_free((*m)->cells);
    pgd_free(*m);
    *m = NULL;
}

static pgd_status grow_str(pgd_strmap *m) {
    if (m->n_cells > SIZE_MAX / 2) return PGD_E_NOMEM;
    const pgd_strmap old = *m;
    cellstr *const cells = pgd_calloc(old.n_cells * 2, sizeof *cells);
    if (!cells) return PGD_E_NOMEM;
    m->cells = cells;
    m->n_cells = old.n_cells * 2;
    for (size_t i = 0; i < old.n_cells; i++)
        if (old.cells[i].used)
            m->cells[probe_str(m, old.cells[i].key, old.cells[i].hash)] = old.cells[i];
    pgd_free(old.cells);
    return PGD_OK;
}

pgd_status pgd_strmap_put(pgd_strmap *m, pgd_sv key, uint64_t value) {
    const uint64_t hash = pgd_hash64(key.p, key.n, m->seed);
    size_t i = probe_str(m, key, hash);
    if (m->cells[i].used) {
        m->cells[i].value = value; /* the first key's bytes stay: they are known to live */
        return PGD_OK;
    }
    if (m->count >= m->n_cells - m->n_cells / 8) {
        PGD_TRY(grow_str(m));
        i = probe_str(m, key, hash);
    }
    m->cells[i] = (cellstr){.key = key, .hash = hash, .value = value, .used = true};
    m->count++;
    return PGD_OK;
}

bool pgd_strmap_get(const pgd_strmap *m, pgd_sv key, uint64_t *value) {
    const cellstr *c = &m->cells[probe_str(m, key, pgd_hash64(key.p, key.n, m->seed))];
    if (!c->used) return false;
    *value = c->value;
    return true;
}

size_t pgd_strmap_count(const pgd_strmap *m) {
    return m->count;
}

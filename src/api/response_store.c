/* The table of kept responses.
 *
 * Invariants: the table holds one reference to each entry, each entry one to the response before
 * it; `bytes` counts the texts of all that are alive, in the table or not, so a long conversation
 * cannot hide its beginning from the limit. Entries leave at the old end of one list until the
 * limits hold. `by_item` names entries of the table alone. A lock and not a queue: worker threads
 * and loops read, each for a moment; texts are never copied or freed under it. It decides nothing
 * about JSON. */
#include "response_store.h"

#include <pthread.h>
#include <string.h>

#include "pagoda/hash.h"
#include "pagoda/map.h"
#include "pagoda/mem.h"

enum { N_BUCKETS = 1024 };

struct api_store {
    pthread_mutex_t lock;
    api_store_limits lim;
    uint64_t seed;
    api_kept *bucket[N_BUCKETS];
    api_kept *newest, *oldest;
    pgd_map64 *by_item; /* item_key of an item's id: its entry */
    uint32_t n;
    _Atomic size_t bytes;
};

/* An item's id, of 24 bytes and more, also has one or two cells of the map. */
static size_t bytes_of(const api_kept *k) {
    return sizeof *k + k->id.cap + k->tenant.cap + k->input.cap + k->object.cap + 3 * k->items.cap;
}

pgd_status api_store_create(const api_store_limits *lim, api_store **out) {
    api_store *const s = pgd_calloc(1, sizeof *s);
    if (!s) return PGD_E_NOMEM;
    if (pgd_map64_create(&s->by_item, 64) != PGD_OK || pthread_mutex_init(&s->lock, NULL) != 0) {
        pgd_map64_destroy(&s->by_item);
        pgd_free(s);
        return PGD_E_NOMEM;
    }
    s->lim = *lim;
    pgd_random_bytes(&s->seed, sizeof s->seed);
    *out = s;
    return PGD_OK;
}

api_kept *api_kept_create(api_kept *previous) {
    api_kept *const k = pgd_calloc(1, sizeof *k);
    if (!k) return NULL;
    atomic_init(&k->refs, 1);
    k->previous = previous;
    return k;
}

/* Frees along the chain without recursion: each response may hold the last reference of the one
 * before it. */
void api_kept_release(api_kept **k) {
    api_kept *at = k ? *k : NULL;
    if (k) *k = NULL;
    while (at && atomic_fetch_sub_explicit(&at->refs, 1, memory_order_acq_rel) == 1) {
        api_kept *const previous = at->previous;
        if (at->store)
            (void)atomic_fetch_sub_explicit(&at->store->bytes, bytes_of(at), memory_order_relaxed);
        pgd_buf_fini(&at->id);
        pgd_buf_fini(&at->tenant);
        pgd_buf_fini(&at->input);
        pgd_buf_fini(&at->object);
        pgd_buf_fini(&at->items);
        pgd_free(at);
        at = previous;
    }
}

static api_kept **bucket_of(api_store *s, pgd_sv id) {
    return &s->bucket[pgd_hash64(id.p, id.n, s->seed) % N_BUCKETS];
}

/* Out of the list of ages. */
static void unlink_age(api_store *s, api_kept *k) {
    *(k->newer ? &k->newer->older : &s->newest) = k->older;
    *(k->older ? &k->older->newer : &s->oldest) = k->newer;
    k->newer = k->older = NULL;
}

static void link_newest(api_store *s, api_kept *k) {
    k->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = k;
    s->newest = k;
}

static uint64_t item_key(const api_store *s, pgd_sv tenant, pgd_sv item) {
    return pgd_hash64(item.p, item.n, pgd_hash64(tenant.p, tenant.n, s->seed));
}

/* An item for which there is no memory is not found. */
static void name_items(api_store *s, api_kept *k) {
    pgd_sv lines = pgd_buf_sv(&k->items), id;
    while (pgd_sv_cut(&lines, PGD_SV("\n"), &id))
        (void)pgd_map64_put(s->by_item, item_key(s, pgd_buf_sv(&k->tenant), id),
                            (uint64_t)(uintptr_t)k);
}

static void forget_items(api_store *s, const api_kept *k) {
    pgd_sv lines = pgd_buf_sv(&k->items), id;
    uint64_t at;
    while (pgd_sv_cut(&lines, PGD_SV("\n"), &id)) {
        const uint64_t key = item_key(s, pgd_buf_sv(&k->tenant), id);
        if (pgd_map64_get(s->by_item, key, &at) && at == (uint64_t)(uintptr_t)k)
            (void)pgd_map64_del(s->by_item, key);
    }
}

/* Out of the table, still with its reference. */
static void take_out(api_store *s, api_kept *k) {
    forget_items(s, k);
    api_kept **at = bucket_of(s, pgd_buf_sv(&k->id));
    while (*at != k)
        at = &(*at)->hash_next;
    *at = k->hash_next;
    unlink_age(s, k);
    s->n--;
}

static api_kept *find(api_store *s, pgd_sv id, pgd_sv tenant) {
    for (api_kept *k = *bucket_of(s, id); k; k = k->hash_next)
        if (pgd_sv_eq(pgd_buf_sv(&k->id), id) && pgd_sv_eq(pgd_buf_sv(&k->tenant), tenant))
            return k;
    return NULL;
}

/* The oldest entry if it has to go. */
static api_kept *pick_surplus(api_store *s, uint64_t now_ns) {
    api_kept *const k = s->oldest;
    if (!k) return NULL;
    const bool full = s->n > s->lim.max_entries ||
                      atomic_load_explicit(&s->bytes, memory_order_relaxed) > s->lim.max_bytes;
    const bool old = s->lim.ttl_ns && now_ns - k->born_ns > s->lim.ttl_ns;
    if (!full && !old) return NULL;
    take_out(s, k);
    return k;
}

/* Drop what is too much or too old; texts are freed outside the lock. */
static void trim(api_store *s, uint64_t now_ns) {
    for (;;) {
        pthread_mutex_lock(&s->lock);
        api_kept *k = pick_surplus(s, now_ns);
        pthread_mutex_unlock(&s->lock);
        if (!k) return;
        api_kept_release(&k);
    }
}

void api_store_put(api_store *s, api_kept *k, uint64_t now_ns) {
    const size_t own = k->input.n + k->object.n;
    k->depth = 1 + (k->previous ? k->previous->depth : 0);
    k->chain_bytes = own + (k->previous ? k->previous->chain_bytes : 0);
    k->store = s;
    k->born_ns = now_ns;
    (void)atomic_fetch_add_explicit(&s->bytes, bytes_of(k), memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    api_kept **const at = bucket_of(s, pgd_buf_sv(&k->id));
    k->hash_next = *at;
    *at = k;
    link_newest(s, k);
    name_items(s, k);
    s->n++;
    pthread_mutex_unlock(&s->lock);
    trim(s, now_ns);
}

/* A reference to what was found under the lock, which makes it the newest. */
static api_kept *hold(api_store *s, api_kept *k, uint64_t now_ns) {
    if (k && s->lim.ttl_ns && now_ns - k->born_ns > s->lim.ttl_ns) k = NULL; /* trim takes it */
    if (!k) return NULL;
    (void)atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    unlink_age(s, k);
    link_newest(s, k);
    return k;
}

api_kept *api_store_get(api_store *s, pgd_sv id, pgd_sv tenant, uint64_t now_ns) {
    if (!s) return NULL;
    pthread_mutex_lock(&s->lock);
    api_kept *const k = hold(s, find(s, id, tenant), now_ns);
    pthread_mutex_unlock(&s->lock);
    return k;
}

api_kept *api_store_get_by_item(api_store *s, pgd_sv item, pgd_sv tenant, uint64_t now_ns) {
    uint64_t at;
    if (!s) return NULL;
    pthread_mutex_lock(&s->lock);
    api_kept *k = NULL;
    if (pgd_map64_get(s->by_item, item_key(s, tenant, item), &at)) k = (api_kept *)(uintptr_t)at;
    /* keys may be equal by chance: a tenant is never given what is another's */
    if (k && !pgd_sv_eq(pgd_buf_sv(&k->tenant), tenant)) k = NULL;
    k = hold(s, k, now_ns);
    pthread_mutex_unlock(&s->lock);
    return k;
}

bool api_store_remove(api_store *s, pgd_sv id, pgd_sv tenant) {
    if (!s) return false;
    pthread_mutex_lock(&s->lock);
    api_kept *k = find(s, id, tenant);
    if (k) take_out(s, k);
    pthread_mutex_unlock(&s->lock);
    const bool found = k != NULL;
    api_kept_release(&k);
    return found;
}

void api_store_count(api_store *s, uint32_t *n, size_t *bytes) {
    pthread_mutex_lock(&s->lock);
    *n = s->n;
    pthread_mutex_unlock(&s->lock);
    *bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
}

void api_store_destroy(api_store **s) {
    if (!s || !*s) return;
    while ((*s)->oldest) {
        api_kept *k = (*s)->oldest;
        take_out(*s, k);
        api_kept_release(&k);
    }
    pthread_mutex_destroy(&(*s)->lock);
    pgd_map64_destroy(&(*s)->by_item);
    pgd_free(*s);
    *s = NULL;
}

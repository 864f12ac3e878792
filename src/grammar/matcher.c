/* Matchers: a place in a grammar and the places before it.
 *
 * A place is the number of a config, so advancing is a table lookup a byte and going back is taking
 * an older number. The store may be collected before any operation, which rewrites the numbers of
 * every matcher that the grammar lists; hence numbers are read only under the lock, and an
 * operation that ran out of room is tried once more after collecting. Thread: a matcher has one
 * owner; the lock is between matchers of one grammar. */
#include <string.h>

#include "pagoda/mem.h"
#include "store.h"

static void lock(const pgd_matcher *m) {
    pthread_mutex_lock(&m->g->lock);
}

static void unlock(const pgd_matcher *m) {
    pthread_mutex_unlock(&m->g->lock);
}

/* The lock is held. */
static void list(pgd_matcher *m) {
    m->prev = NULL;
    m->next = m->g->matchers;
    if (m->next) m->next->prev = m;
    m->g->matchers = m;
}

pgd_status pgd_matcher_create(pgd_matcher **out, pgd_grammar *g) {
    pgd_matcher *const m = pgd_calloc(1, sizeof *m);
    if (!m) return PGD_E_NOMEM;
    m->g = pgd_grammar_retain(g);
    lock(m);
    m->at = g->store.start;
    m->on = PGD_CONFIG_DEAD;
    list(m);
    unlock(m);
    *out = m;
    return PGD_OK;
}

pgd_status pgd_matcher_copy(pgd_matcher **out, const pgd_matcher *m) {
    PGD_TRY(pgd_matcher_create(out, m->g));
    pgd_matcher_assign(*out, m);
    return PGD_OK;
}

void pgd_matcher_assign(pgd_matcher *dst, const pgd_matcher *src) {
    PGD_ASSERT(dst->g == src->g);
    lock(dst);
    dst->at = src->at;
    memcpy(dst->past, src->past, sizeof dst->past);
    dst->n_past = src->n_past;
    dst->head = src->head;
    unlock(dst);
}

void pgd_matcher_destroy(pgd_matcher **pm) {
    pgd_matcher *const m = *pm;
    if (!m) return;
    lock(m);
    if (m->prev)
        m->prev->next = m->next;
    else
        m->g->matchers = m->next;
    if (m->next) m->next->prev = m->prev;
    unlock(m);
    pgd_grammar_release(&m->g);
    pgd_free(m);
    *pm = NULL;
}

/* The lock is held. */
static void go(pgd_matcher *m, uint32_t to) {
    m->past[m->head] = m->at;
    m->head = (m->head + 1) % PGD_MATCHER_UNDO;
    if (m->n_past < PGD_MATCHER_UNDO) m->n_past++;
    m->at = to;
}

/* Make room if there is little, and start counting. The lock is held. */
static bool ready(pgd_matcher *m) {
    if (pgd_store_crowded(&m->g->store) && !pgd_store_collect(m->g)) return false;
    pgd_store_begin(&m->g->store);
    return true;
}

/* After a failure: whether a second try has a chance. */
static bool again(pgd_matcher *m) {
    if (!m->g->store.full || !pgd_store_collect(m->g)) return false;
    pgd_store_begin(&m->g->store);
    return true;
}

/* Move m->on over the bytes; returns where it got to. Long texts may fill the store several times:
 * each time it is collected, with m->on among what is kept. The lock is held. */
static uint32_t consume(pgd_matcher *m, pgd_sv bytes) {
    pgd_store *const s = &m->g->store;
    size_t tried = SIZE_MAX;
    m->on = m->at;
    for (size_t i = 0; i < bytes.n && m->on != PGD_CONFIG_DEAD;) {
        const uint32_t k = s->fa->class_of[(uint8_t)bytes.p[i]];
        const uint32_t to = pgd_store_step(s, m->on, k);
        if (to != PGD_CONFIG_NONE) {
            m->on = to;
            i++;
        } else if (i == tried || !again(m)) {
            return PGD_CONFIG_NONE;
        } else {
            tried = i;
        }
    }
    return m->on;
}

static pgd_status advance(pgd_matcher *m, pgd_sv bytes, pgd_error *err) {
    pgd_store *const s = &m->g->store;
    pgd_status st = PGD_OK;
    lock(m);
    const uint32_t to = ready(m) ? consume(m, bytes) : PGD_CONFIG_NONE;
    if (to > PGD_CONFIG_DEAD)
        go(m, to);
    else if (to == PGD_CONFIG_DEAD)
        st = pgd_fail(err, PGD_E_INVALID, "the grammar does not allow this text here");
    else
        st = pgd_fail(err, PGD_E_LIMIT, "%s", s->why ? s->why : "no room for the grammar's states");
    m->on = PGD_CONFIG_DEAD;
    unlock(m);
    return st;
}

pgd_status pgd_matcher_advance_bytes(pgd_matcher *m, pgd_sv bytes, pgd_error *err) {
    return advance(m, bytes, err);
}

static pgd_status end(pgd_matcher *m, pgd_error *err) {
    lock(m);
    const bool ok = m->g->store.h->configs[m->at].accepts;
    if (ok) go(m, PGD_CONFIG_ENDED);
    unlock(m);
    return ok ? PGD_OK : pgd_fail(err, PGD_E_INVALID, "the text may not end here");
}

pgd_status pgd_matcher_advance(pgd_matcher *m, uint32_t token, pgd_error *err) {
    const pgd_vocab *const v = m->g->store.vocab;
    if (token >= v->n_tokens)
        return pgd_fail(err, PGD_E_INVALID, "token %u of a vocabulary of %u", token, v->n_tokens);
    for (uint32_t i = 0; i < v->n_eos; i++)
        if (v->eos[i] == token) return end(m, err);
    const pgd_sv bytes = {v->bytes + v->start[token], v->start[token + 1] - v->start[token]};
    if (bytes.n == 0)
        return pgd_fail(err, PGD_E_INVALID, "token %u has no text and may not appear", token);
    return advance(m, bytes, err);
}

pgd_status pgd_matcher_rollback(pgd_matcher *m, uint32_t n, pgd_error *err) {
    if (n > m->n_past)
        return pgd_fail(err, PGD_E_INVALID, "%u tokens to take back, only %u can be", n, m->n_past);
    if (n == 0) return PGD_OK;
    lock(m);
    m->head = (m->head + PGD_MATCHER_UNDO - n) % PGD_MATCHER_UNDO;
    m->n_past -= n;
    m->at = m->past[m->head];
    unlock(m);
    return PGD_OK;
}

uint32_t pgd_matcher_undoable(const pgd_matcher *m) {
    return m->n_past;
}

static bool any_bit(const uint32_t *bits, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (bits[i]) return true;
    return false;
}

pgd_status pgd_matcher_mask(pgd_matcher *m, uint32_t *bits, pgd_error *err) {
    pgd_store *const s = &m->g->store;
    pgd_status st = PGD_E_LIMIT;
    lock(m);
    if (ready(m)) {
        st = pgd_store_mask(s, m->at, bits);
        if (st != PGD_OK && again(m)) st = pgd_store_mask(s, m->at, bits);
    }
    if (st != PGD_OK)
        st = pgd_fail(err, st, "%s", s->why ? s->why : "no room for the grammar's states");
    else if (m->at != PGD_CONFIG_ENDED && !any_bit(bits, s->vocab->n_words))
        st = pgd_fail(err, PGD_E_LIMIT,
                      "no token of the vocabulary can follow: the text is nested too deeply (more "
                      "than %u open rules) or the vocabulary lacks a byte",
                      s->lim->max_stack);
    unlock(m);
    return st;
}

bool pgd_matcher_accepts(const pgd_matcher *m) {
    lock(m);
    const bool yes = m->g->store.h->configs[m->at].accepts;
    unlock(m);
    return yes;
}

bool pgd_matcher_done(const pgd_matcher *m) {
    lock(m);
    const pgd_config *const c = &m->g->store.h->configs[m->at];
    const bool yes = m->at == PGD_CONFIG_ENDED || (c->accepts && c->n == 0);
    unlock(m);
    return yes;
}

/* Prefix tree: named behaviours on a page of 4 tokens, then random histories against a naive
 * model that remembers for each page the whole text in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/hash.h"
#include "pagoda/kv.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum { P = 4, MAX_TOK = 48, MAX_PAGES = MAX_TOK / P };

static const uint8_t NS_A[16] = {1}, NS_B[16] = {2};

typedef struct user { /* a running sequence */
    int32_t tok[MAX_TOK];
    uint32_t pages[MAX_PAGES], n_pages, n_tree, node;
    const uint8_t *ns;
    bool live;
} user;

typedef struct rig {
    pgd_page_pool *pool;
    pgd_radix *tree;
} rig;

static pgd_toks toks(const user *u) {
    return (pgd_toks){.head = u->tok, .n_head = 6, .tail = u->tok + 6}; /* straddles page 1 */
}

static rig make(uint32_t pages) {
    rig r = {0};
    assert_int_equal(pgd_page_pool_create(&r.pool, pages, NULL), PGD_OK);
    assert_int_equal(pgd_radix_create(&r.tree, r.pool, P, 7, NULL), PGD_OK);
    return r;
}

static void unmake(rig *r) {
    pgd_radix_destroy(&r->tree);
    pgd_page_pool_destroy(&r->pool);
}

static user text(const char *s, const uint8_t *ns) {
    user u = {.node = PGD_NO_NODE, .ns = ns, .live = true};
    for (size_t i = 0; s[i]; i++)
        u.tok[i] = s[i];
    return u;
}

static void start(rig *r, user *u, uint32_t max_pages) {
    u->n_pages = pgd_radix_match(r->tree, u->ns, toks(u), max_pages, u->pages, &u->node);
    u->n_tree = u->n_pages;
}

static void grow(rig *r, user *u, uint32_t n_pages) {
    while (u->n_pages < n_pages) {
        u->pages[u->n_pages] = pgd_page_pool_alloc(r->pool);
        assert_true(u->pages[u->n_pages++] != PGD_NO_PAGE);
    }
}

static uint32_t insert(rig *r, user *u, uint32_t to) {
    uint32_t lo = UINT32_MAX, hi = 0;
    const uint32_t n =
        pgd_radix_insert(r->tree, u->ns, toks(u), u->pages, u->n_tree, to, 0, &u->node, &lo, &hi);
    assert_true(n == 0 ? lo > hi : lo < hi && hi <= to);
    u->n_tree = to;
    return n;
}

static void end(rig *r, user *u) {
    pgd_radix_unlock(r->tree, u->node);
    for (uint32_t i = 0; i < u->n_pages; i++)
        pgd_page_pool_retire(r->pool, u->pages[i], 0);
    u->n_pages = u->n_tree = 0;
    u->node = PGD_NO_NODE;
    u->live = false;
}

static void check(const rig *r, const user *u, uint32_t n) {
    uint32_t locked[16], holders[256] = {0};
    pgd_error err = {0};
    for (uint32_t i = 0; i < n; i++) {
        locked[i] = u[i].live ? u[i].node : PGD_NO_NODE;
        for (uint32_t k = 0; u[i].live && k < u[i].n_pages; k++)
            holders[u[i].pages[k]]++;
    }
    if (pgd_radix_check(r->tree, locked, n, &err) != PGD_OK ||
        pgd_page_pool_check(r->pool, holders, &err) != PGD_OK)
        fail_msg("%s", err.msg);
}

static void put(rig *r, const char *s, const uint8_t *ns) {
    user u = text(s, ns);
    start(r, &u, 0);
    grow(r, &u, (uint32_t)strlen(s) / P);
    insert(r, &u, u.n_pages);
    end(r, &u);
}

static uint32_t hit(rig *r, const char *s, const uint8_t *ns) {
    user u = text(s, ns);
    uint32_t idle;
    const uint32_t peek = pgd_radix_peek(r->tree, ns, toks(&u), (uint32_t)strlen(s) / P, &idle);
    start(r, &u, (uint32_t)strlen(s) / P);
    const uint32_t n = u.n_pages;
    assert_int_equal(peek, n);
    check(r, &u, 1);
    end(r, &u);
    return n;
}

static void a_finished_text_is_found_again_page_by_page(void **state) {
    (void)state;
    rig r = make(16);
    put(&r, "aaaabbbbccccdddd", NS_A);
    assert_int_equal(hit(&r, "aaaabbbbccccddddeeee", NS_A), 4);
    assert_int_equal(hit(&r, "aaaabbbbccccddd.", NS_A), 3);
    assert_int_equal(hit(&r, "aaaabbb.", NS_A), 1);
    assert_int_equal(hit(&r, ".aaabbbb", NS_A), 0);
    unmake(&r);
}

static void a_namespace_never_sees_another(void **state) {
    (void)state;
    rig r = make(16);
    put(&r, "aaaabbbb", NS_A);
    assert_int_equal(hit(&r, "aaaabbbb", NS_B), 0);
    put(&r, "aaaacccc", NS_B);
    assert_int_equal(pgd_radix_namespaces(r.tree), 2);
    assert_int_equal(hit(&r, "aaaabbbb", NS_B), 1);
    assert_int_equal(hit(&r, "aaaabbbb", NS_A), 2);
    unmake(&r);
}

static void equal_sequences_end_up_on_the_same_pages(void **state) {
    (void)state;
    rig r = make(16);
    user u[2] = {text("aaaabbbbcccc", NS_A), text("aaaabbbbcccc", NS_A)};
    for (int i = 0; i < 2; i++) {
        start(&r, &u[i], 3);
        grow(&r, &u[i], 3);
    }
    assert_int_equal(insert(&r, &u[0], 2), 0);
    assert_int_equal(insert(&r, &u[1], 3), 2); /* two found, the third is its own */
    assert_memory_equal(u[0].pages, u[1].pages, 2 * sizeof(uint32_t));
    check(&r, u, 2);
    assert_int_equal(insert(&r, &u[0], 3), 1);
    assert_memory_equal(u[0].pages, u[1].pages, 3 * sizeof(uint32_t));
    check(&r, u, 2);
    end(&r, &u[0]);
    end(&r, &u[1]);
    pgd_page_pool_counts c;
    pgd_page_pool_get_counts(r.pool, &c);
    assert_int_equal(c.free, 13);
    assert_int_equal(c.cached, 3);
    unmake(&r);
}

static void a_split_keeps_locks(void **state) {
    (void)state;
    rig r = make(16);
    user u[2] = {text("aaaabbbbccccdddd", NS_A), text("aaaabbbbxxxx", NS_A)};
    start(&r, &u[0], 0);
    grow(&r, &u[0], 4);
    insert(&r, &u[0], 4);
    start(&r, &u[1], 3); /* splits the run of u[0] after two pages */
    assert_int_equal(u[1].n_pages, 2);
    check(&r, u, 2);
    assert_int_equal(pgd_radix_evict(r.tree, 16), 0);
    assert_int_equal(pgd_radix_pages(r.tree), 4);
    end(&r, &u[0]);
    check(&r, u, 2);
    assert_int_equal(pgd_radix_evict(r.tree, 16), 2); /* cccc dddd; the rest is locked */
    assert_int_equal(pgd_radix_pages(r.tree), 2);
    end(&r, &u[1]);
    assert_int_equal(pgd_radix_evict(r.tree, 16), 2);
    assert_int_equal(pgd_radix_namespaces(r.tree), 0);
    check(&r, u, 2);
    unmake(&r);
}

static void the_least_recently_used_leaf_goes_first_from_its_end(void **state) {
    (void)state;
    rig r = make(16);
    put(&r, "aaaabbbbcccc", NS_A);
    put(&r, "aaaaxxxxyyyy", NS_A);
    assert_int_equal(hit(&r, "aaaabbbbcccc", NS_A), 3); /* now younger than xxxx yyyy */
    assert_int_equal(pgd_radix_evict(r.tree, 1), 1);
    assert_int_equal(hit(&r, "aaaabbbbcccc", NS_A), 3);
    assert_int_equal(pgd_radix_evict(r.tree, 1), 1);
    assert_int_equal(hit(&r, "aaaaxxxxyyyy", NS_A), 1);
    assert_int_equal(pgd_radix_evict(r.tree, 1), 1); /* bbbb cccc is the only leaf left */
    assert_int_equal(hit(&r, "aaaabbbbcccc", NS_A), 2);
    unmake(&r);
}

static void create_fails_cleanly_when_memory_does(void **state) {
    (void)state;
    rig r = make(8);
    for (int64_t n = 0;; n++) {
        pgd_radix *t = NULL;
        pgd_mem_fail_after(n);
        const pgd_status s = pgd_radix_create(&t, r.pool, P, 1, NULL);
        const bool fired = pgd_mem_fail_after(-1);
        assert_int_equal(s, fired ? PGD_E_NOMEM : PGD_OK);
        pgd_radix_destroy(&t);
        if (!fired) break;
    }
    unmake(&r);
}

/* ---- random histories ---- */

typedef struct model {
    rig r;
    user u[8];
    uint64_t text_of[64]; /* per page: hash of namespace and all tokens up to its end */
    uint64_t rng;
    uint32_t evicted;
} model;

static uint32_t draw(model *m, uint32_t n) {
    return (uint32_t)(pgd_rng_next(&m->rng) % n);
}

static uint64_t prefix_hash(const user *u, uint32_t page) {
    return pgd_hash64(u->tok, (page + 1) * P * sizeof u->tok[0], u->ns[0]);
}

static void begin_user(model *m, user *u) {
    *u = (user){.node = PGD_NO_NODE, .ns = draw(m, 3) ? NS_A : NS_B, .live = true};
    /* Few different pages, so that prefixes meet, and now and then all alike. */
    const uint32_t alphabet = 1 + draw(m, 2);
    for (uint32_t p = 0; p < MAX_PAGES; p++)
        for (uint32_t i = 0, v = draw(m, alphabet); i < P; i++)
            u->tok[p * P + i] = (int32_t)v;
    uint32_t idle;
    const uint32_t max = draw(m, MAX_PAGES);
    const uint32_t peek = pgd_radix_peek(m->r.tree, u->ns, toks(u), max, &idle);
    start(&m->r, u, max);
    assert_int_equal(u->n_pages, peek);
    for (uint32_t i = 0; i < u->n_pages; i++)
        assert_true(m->text_of[u->pages[i]] == prefix_hash(u, i));
}

static void turn(model *m) {
    user *u = &m->u[draw(m, 8)];
    if (!u->live) {
        begin_user(m, u);
    } else if (draw(m, 4) == 0) {
        end(&m->r, u);
    } else if (draw(m, 2) && u->n_pages < MAX_PAGES) {
        pgd_page_pool_counts c;
        pgd_page_pool_get_counts(m->r.pool, &c);
        if (c.free == 0) m->evicted += pgd_radix_evict(m->r.tree, 1 + draw(m, 3));
        pgd_page_pool_get_counts(m->r.pool, &c);
        if (c.free == 0) {
            end(&m->r, u);
            return;
        }
        grow(&m->r, u, u->n_pages + 1);
        m->text_of[u->pages[u->n_pages - 1]] = prefix_hash(u, u->n_pages - 1);
    } else {
        insert(&m->r, u, u->n_tree + draw(m, u->n_pages - u->n_tree + 1));
        for (uint32_t i = 0; i < u->n_tree; i++)
            assert_true(m->text_of[u->pages[i]] == prefix_hash(u, i));
    }
}

static void random_histories_keep_every_invariant(void **state) {
    (void)state;
    uint32_t evicted = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        model m = {.r = make(20 + (uint32_t)seed % 44), .rng = seed};
        print_message(seed == 1 ? "seeds 1 to 60\n" : "");
        for (int i = 0; i < 400; i++) {
            turn(&m);
            check(&m.r, m.u, 8);
        }
        for (int i = 0; i < 8; i++)
            if (m.u[i].live) end(&m.r, &m.u[i]);
        pgd_radix_evict(m.r.tree, UINT32_MAX);
        check(&m.r, m.u, 8);
        pgd_page_pool_counts c;
        pgd_page_pool_get_counts(m.r.pool, &c);
        assert_int_equal(c.free, c.total);
        assert_int_equal(pgd_radix_namespaces(m.r.tree), 0);
        evicted += m.evicted;
        unmake(&m.r);
    }
    assert_true(evicted > 100); /* the histories did run out of pages */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_text_is_found_again_page_by_page),
        cmocka_unit_test(a_namespace_never_sees_another),
        cmocka_unit_test(equal_sequences_end_up_on_the_same_pages),
        cmocka_unit_test(a_split_keeps_locks),
        cmocka_unit_test(the_least_recently_used_leaf_goes_first_from_its_end),
        cmocka_unit_test(create_fails_cleanly_when_memory_does),
        cmocka_unit_test(random_histories_keep_every_invariant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

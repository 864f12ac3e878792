/* Kept responses: the table's bounds, tenants, conversations that go on from what was kept, and the
 * routes that read it back. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/response_store.h"
#include "pagoda/jsonw.h"
#include "rig.h"

/* ---- the table alone ---- */

static api_kept *make(const char *id, const char *tenant, size_t bytes, api_kept *previous) {
    api_kept *const k = api_kept_create(previous);
    assert_non_null(k);
    pgd_buf_puts(&k->id, id);
    pgd_buf_puts(&k->tenant, tenant);
    for (size_t i = 0; i < bytes; i++)
        pgd_buf_putc(&k->object, 'x');
    return k;
}

static bool has(api_store *s, const char *id, const char *tenant, uint64_t now) {
    api_kept *k = api_store_get(s, pgd_sv_c(id), pgd_sv_c(tenant), now);
    const bool found = k != NULL;
    api_kept_release(&k);
    return found;
}

static void the_least_recently_used_leaves_first(void **state) {
    (void)state;
    const api_store_limits lim = {.max_entries = 3, .max_bytes = 1 << 20};
    api_store *s = NULL;
    assert_int_equal(api_store_create(&lim, &s), PGD_OK);
    api_store_put(s, make("a", "t", 10, NULL), 1);
    api_store_put(s, make("b", "t", 10, NULL), 1);
    api_store_put(s, make("c", "t", 10, NULL), 1);
    assert_true(has(s, "a", "t", 1)); /* b is the oldest now */
    api_store_put(s, make("d", "t", 10, NULL), 1);
    assert_false(has(s, "b", "t", 1));
    assert_true(has(s, "a", "t", 1) && has(s, "c", "t", 1) && has(s, "d", "t", 1));
    assert_false(has(s, "a", "other", 1));
    assert_false(api_store_remove(s, PGD_SV("a"), PGD_SV("other")));
    assert_true(api_store_remove(s, PGD_SV("a"), PGD_SV("t")));
    assert_false(has(s, "a", "t", 1));
    api_store_destroy(&s);
}

static void time_and_bytes_are_bounded(void **state) {
    (void)state;
    const api_store_limits lim = {.max_entries = 100, .max_bytes = 20000, .ttl_ns = 50};
    api_store *s = NULL;
    uint32_t n;
    size_t bytes;
    assert_int_equal(api_store_create(&lim, &s), PGD_OK);
    for (int i = 0; i < 50; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "id%d", i);
        api_store_put(s, make(id, "", 4000, NULL), 100);
        api_store_count(s, &n, &bytes);
        assert_true(bytes <= 20000 && n >= 1 && n <= 4);
    }
    assert_true(has(s, "id49", "", 150));
    assert_false(has(s, "id49", "", 151));
    api_store_put(s, make("new", "", 10, NULL), 200); /* pushes out what is too old */
    api_store_count(s, &n, &bytes);
    assert_int_equal(n, 1);
    api_store_put(s, make("huge", "", 30000, NULL), 200); /* leaves at once, with all else */
    api_store_count(s, &n, &bytes);
    assert_int_equal(n, 0);
    assert_int_equal(bytes, 0);
    api_store_destroy(&s);
}

static void a_beginning_lives_and_counts_as_long_as_its_end(void **state) {
    (void)state;
    const api_store_limits lim = {.max_entries = 1, .max_bytes = 1 << 20};
    api_store *s = NULL;
    uint32_t n;
    size_t bytes;
    assert_int_equal(api_store_create(&lim, &s), PGD_OK);
    api_store_put(s, make("0", "", 1000, NULL), 1);
    for (int i = 1; i < 100; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i - 1);
        api_kept *const last = api_store_get(s, pgd_sv_c(id), PGD_SV(""), 1);
        assert_non_null(last);
        (void)snprintf(id, sizeof id, "%d", i);
        api_store_put(s, make(id, "", 1000, last), 1);
    }
    api_store_count(s, &n, &bytes);
    assert_int_equal(n, 1);
    assert_true(bytes > 100 * 1000);
    api_kept *k = api_store_get(s, PGD_SV("99"), PGD_SV(""), 1);
    assert_int_equal(k->depth, 100);
    assert_int_equal(k->chain_bytes, 100 * 1000);
    assert_string_equal(k->previous->previous->id.p, "97");
    assert_true(api_store_remove(s, PGD_SV("99"), PGD_SV("")));
    api_store_count(s, &n, &bytes);
    assert_true(n == 0 && bytes > 100 * 1000);
    api_kept_release(&k); /* the last reference takes the whole chain along */
    api_store_count(s, &n, &bytes);
    assert_int_equal(bytes, 0);
    api_store_destroy(&s);
}

static bool has_item(api_store *s, const char *item, const char *tenant, const char *in) {
    api_kept *k = api_store_get_by_item(s, pgd_sv_c(item), pgd_sv_c(tenant), 1);
    const bool found = k && strcmp(k->id.p, in) == 0;
    api_kept_release(&k);
    return found;
}

static void items_are_found_as_long_as_their_responses(void **state) {
    (void)state;
    const api_store_limits lim = {.max_entries = 2, .max_bytes = 1 << 20};
    static const char *const ids[] = {"a", "b", "c"};
    static const char *const items[] = {"i1\ni2\n", "i2\n", "i3\n"};
    api_store *s = NULL;
    assert_int_equal(api_store_create(&lim, &s), PGD_OK);
    for (int i = 0; i < 3; i++) {
        api_kept *const k = make(ids[i], "t", 10, NULL);
        pgd_buf_puts(&k->items, items[i]);
        api_store_put(s, k, 1);
        if (i == 0) {
            assert_true(has_item(s, "i1", "t", "a") && has_item(s, "i2", "t", "a"));
            assert_false(has_item(s, "i1", "other", "a"));
        }
    }
    /* a was pushed out, and took along what is not b's by now */
    assert_false(has_item(s, "i1", "t", "a"));
    assert_true(has_item(s, "i2", "t", "b") && has_item(s, "i3", "t", "c"));
    assert_true(api_store_remove(s, PGD_SV("b"), PGD_SV("t")));
    assert_false(has_item(s, "i2", "t", "b"));
    api_store_destroy(&s);
}

static void *churn(void *arg) {
    api_store *const s = arg;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    for (int i = 0; i < 2000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%u", (unsigned)(test_rand(&seed) % 20));
        const bool by_item = test_rand(&seed) % 2;
        api_kept *k = by_item ? api_store_get_by_item(s, pgd_sv_c(id), PGD_SV(""), 1)
                              : api_store_get(s, pgd_sv_c(id), PGD_SV(""), 1);
        if (test_rand(&seed) % 4 == 0) {
            (void)api_store_remove(s, pgd_sv_c(id), PGD_SV(""));
        } else if (!k || test_rand(&seed) % 2) {
            api_kept *const made = make(id, "", 100, k);
            pgd_buf_putf(&made->items, "%s\n", id);
            api_store_put(s, made, 1);
            k = NULL;
        }
        api_kept_release(&k);
    }
    return NULL;
}

static void threads_may_put_get_and_remove(void **state) {
    (void)state;
    const api_store_limits lim = {.max_entries = 8, .max_bytes = 1 << 16};
    api_store *s = NULL;
    assert_int_equal(api_store_create(&lim, &s), PGD_OK);
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, churn, s), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    uint32_t n;
    size_t bytes;
    api_store_count(s, &n, &bytes);
    assert_true(n <= 8);
    api_store_destroy(&s);
}

/* ---- through the API ---- */

static void a_response_can_be_read_again_by_its_tenant_alone(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_reply made, got;
    char id[64];
    rig_respond(&r, "one", "{\"model\":\"small\",\"input\":\"hi\",\"max_output_tokens\":3}", &made,
                id);
    assert_int_equal(made.status, 200);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "two", id, "", false, &got), 404);
    rig_reply_fini(&got);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "one", id, "", false, &got), 200);
    assert_string_equal(got.body.p, made.body.p);
    rig_reply_fini(&got);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "two", id, "", true, &got), 404);
    rig_reply_fini(&got);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "one", id, "", true, &got), 200);
    assert_non_null(strstr(got.body.p, "\"deleted\":true"));
    rig_reply_fini(&got);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "one", id, "", false, &got), 404);
    rig_reply_fini(&got);
    rig_reply_fini(&made);
    /* not kept when that is not wanted */
    rig_respond(&r, "one",
                "{\"model\":\"small\",\"input\":\"hi\",\"max_output_tokens\":3,\"store\":false}",
                &made, id);
    assert_non_null(strstr(made.body.p, "\"store\":false"));
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "one", id, "", false, &got), 404);
    rig_reply_fini(&got);
    rig_reply_fini(&made);
    rig_close(&r);
}

static void input_items_come_in_pages(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_reply made, got;
    char id[64];
    rig_respond(
        &r, "",
        "{\"model\":\"small\",\"max_output_tokens\":1,\"input\":[{\"role\":\"user\",\"content\":"
        "\"a,\\nb\"},{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"msg_x\",\"content\":"
        "\"c\"},{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"d\"}]}]}",
        &made, id);
    assert_int_equal(made.status, 200);
    static const char *const cases[][3] = {{"order=asc", "a,\nb|c|d|", "false"},
                                           {"", "d|c|a,\nb|", "false"},
                                           {"order=asc&limit=2", "a,\nb|c|", "true"},
                                           {"limit=1", "d|", "true"},
                                           {"order=asc&after=msg_x", "d|", "false"},
                                           {"after=msg_x", "a,\nb|", "false"},
                                           {"after=nothing", "", "false"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(rig_ask(&r, PGD_ROUTE_INPUT_ITEMS, "", id, cases[i][0], false, &got), 200);
        pgd_json_doc *doc = test_json(got.body.p, got.body.n);
        pgd_buf texts = {0};
        pgd_buf_puts(&texts, "");
        const pgd_json *v = pgd_json_first(test_at(pgd_json_root(doc), "data"));
        for (; v; v = pgd_json_next(v)) {
            pgd_sv s;
            assert_true(pgd_json_as_str(test_at(v, "content.0.text"), &s));
            test_str_is(v, "type", "message");
            pgd_buf_putf(&texts, "%s|", s.p);
        }
        bool more = false;
        assert_true(pgd_json_as_bool(test_at(pgd_json_root(doc), "has_more"), &more));
        assert_string_equal(texts.p ? texts.p : "", cases[i][1]);
        assert_string_equal(more ? "true" : "false", cases[i][2]);
        pgd_buf_fini(&texts);
        pgd_json_free(&doc);
        rig_reply_fini(&got);
    }
    rig_reply_fini(&made);
    rig_close(&r);
}

static int64_t prompt_tokens(const rig_reply *p) {
    pgd_json_doc *doc = test_json(p->body.p, p->body.n);
    const int64_t n = test_int(pgd_json_root(doc), "usage.input_tokens");
    pgd_json_free(&doc);
    return n;
}

/* What the first response said goes into the second's prompt, and both go into the third's. */
static void a_conversation_goes_on_from_a_response(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_reply one, two, again;
    char first[64], second[64], body[512];
    rig_respond(&r, "t",
                "{\"model\":\"small\",\"input\":\"hi\",\"instructions\":\"only here\","
                "\"max_output_tokens\":4,\"seed\":1}",
                &one, first);
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"small\",\"input\":\"more\",\"max_output_tokens\":4,\"stream\":true"
                   ",\"previous_response_id\":\"%s\"}",
                   first);
    const pgd_api_request rq = {.route = PGD_ROUTE_RESPONSES, .tenant = PGD_SV("t")};
    rig_finish(&r, rig_begin_as(&r, &rq, body), &two);
    assert_int_equal(two.status, 200);
    const char *const id = strstr(two.body.p, "\"id\":\"resp_");
    (void)snprintf(second, sizeof second, "%.29s", id + 6);
    /* the same by hand: the whole output as input, without the instructions */
    pgd_json_doc *doc = test_json(one.body.p, one.body.n);
    pgd_buf by_hand = {0};
    pgd_buf_puts(&by_hand, "{\"model\":\"small\",\"max_output_tokens\":4,\"input\":[{\"role\":"
                           "\"user\",\"content\":\"hi\"}");
    const pgd_json *v = pgd_json_first(test_at(pgd_json_root(doc), "output"));
    for (; v; v = pgd_json_next(v)) {
        pgd_buf_putc(&by_hand, ',');
        pgd_jsonw w;
        pgd_jsonw_init(&w, &by_hand);
        pgd_jsonw_node(&w, v);
    }
    pgd_json_free(&doc);
    pgd_buf_puts(&by_hand, ",{\"role\":\"user\",\"content\":\"more\"}]}");
    char third[64];
    rig_respond(&r, "t", by_hand.p, &again, third);
    assert_int_equal(again.status, 200);
    char usage[64];
    (void)snprintf(usage, sizeof usage, "\"usage\":{\"input_tokens\":%lld,",
                   (long long)prompt_tokens(&again));
    assert_non_null(strstr(two.body.p, usage));
    rig_reply_fini(&again);
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"small\",\"input\":\"x\",\"max_output_tokens\":1,"
                   "\"previous_response_id\":\"%s\"}",
                   second);
    rig_respond(&r, "t", body, &again, third);
    assert_int_equal(again.status, 200);
    assert_true(prompt_tokens(&again) > 0);
    rig_reply_fini(&again);
    rig_respond(&r, "other", body, &again, third);
    assert_int_equal(again.status, 404);
    assert_non_null(strstr(again.body.p, "\"code\":\"previous_response_not_found\""));
    rig_reply_fini(&again);
    pgd_buf_fini(&by_hand);
    rig_reply_fini(&one);
    rig_reply_fini(&two);
    rig_close(&r);
}

static void without_a_table_nothing_is_kept(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.no_store = true});
    rig_reply p;
    char id[64];
    rig_respond(&r, "", "{\"model\":\"small\",\"input\":\"hi\",\"max_output_tokens\":1}", &p, id);
    assert_int_equal(p.status, 200);
    assert_non_null(strstr(p.body.p, "\"store\":false"));
    rig_reply_fini(&p);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "", id, "", false, &p), 404);
    rig_reply_fini(&p);
    rig_expect_error(&r, PGD_ROUTE_RESPONSES,
                     "{\"model\":\"small\",\"input\":\"hi\",\"previous_response_id\":\"resp_1\"}",
                     400, "previous_response_id", "previous_response_not_found");
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_leaves_first),
        cmocka_unit_test(time_and_bytes_are_bounded),
        cmocka_unit_test(a_beginning_lives_and_counts_as_long_as_its_end),
        cmocka_unit_test(items_are_found_as_long_as_their_responses),
        cmocka_unit_test(threads_may_put_get_and_remove),
        cmocka_unit_test(a_response_can_be_read_again_by_its_tenant_alone),
        cmocka_unit_test(input_items_come_in_pages),
        cmocka_unit_test(a_conversation_goes_on_from_a_response),
        cmocka_unit_test(without_a_table_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

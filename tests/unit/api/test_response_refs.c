/* Items that an input names instead of holding them: they read as if they stood there, for their
 * tenant alone, and a body that names many stays bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/jsonw.h"
#include "rig.h"

#define ASK "{\"model\":\"small\",\"max_output_tokens\":2,\"seed\":3,\"input\":"

#define USER "{\"role\":\"user\",\"content\":\"more\"}"

/* A first response: its item's id and text. */
typedef struct said {
    char response[64], item[64];
    pgd_buf text;
} said;

static void say(rig *r, const char *tenant, said *out) {
    rig_reply p;
    pgd_sv s;
    memset(out, 0, sizeof *out);
    rig_respond(r, tenant,
                "{\"model\":\"small\",\"input\":\"hi\",\"max_output_tokens\":6,\"seed\":3,"
                "\"ignore_eos\":true}",
                &p, out->response);
    if (p.status != 200) fail_msg("%s", p.body.p);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const pgd_json *const item = pgd_json_first(test_at(pgd_json_root(doc), "output"));
    assert_true(pgd_json_as_str(test_at(item, "id"), &s));
    (void)snprintf(out->item, sizeof out->item, "%s", s.p);
    assert_true(pgd_json_as_str(test_at(item, "content.0.text"), &s) && s.n > 0);
    pgd_buf_putsv(&out->text, s);
    pgd_json_free(&doc);
    rig_reply_fini(&p);
}

static int64_t prompt_tokens(rig *r, const char *body, char id[64]) {
    rig_reply p;
    rig_respond(r, "t", body, &p, id);
    if (p.status != 200) fail_msg("%s: %s", body, p.body.p);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const int64_t n = test_int(pgd_json_root(doc), "usage.input_tokens");
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    return n;
}

static void a_named_item_reads_as_if_it_stood_there(void **state) {
    (void)state;
    rig r;
    said a;
    char named[512], id[64], other[64];
    pgd_buf whole = {0};
    rig_open(&r, &(rig_options){0});
    say(&r, "t", &a);
    (void)snprintf(named, sizeof named,
                   ASK "[{\"role\":\"user\",\"content\":\"hi\"},{\"type\":\"item_reference\","
                       "\"id\":\"%s\"},{\"role\":\"user\",\"content\":\"more\"}]}",
                   a.item);
    pgd_buf_puts(&whole, ASK "[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\","
                             "\"content\":\"");
    pgd_json_escape(&whole, pgd_buf_sv(&a.text));
    pgd_buf_puts(&whole, "\"},{\"role\":\"user\",\"content\":\"more\"}]}");
    const int64_t want = prompt_tokens(&r, whole.p, other);
    assert_int_equal(prompt_tokens(&r, named, id), want);
    /* what is kept holds the item itself, so that it outlives the response that it came from */
    rig_reply p;
    char query[512];
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "t", a.response, "", true, &p), 200);
    rig_reply_fini(&p);
    (void)snprintf(query, sizeof query, ASK "\"x\",\"previous_response_id\":\"%s\"}", id);
    const int64_t after = prompt_tokens(&r, query, id);
    (void)snprintf(query, sizeof query, ASK "\"x\",\"previous_response_id\":\"%s\"}", other);
    assert_int_equal(prompt_tokens(&r, query, other), after);
    rig_respond(&r, "t", named, &p, id);
    assert_int_equal(p.status, 404);
    rig_reply_fini(&p);
    pgd_buf_fini(&whole);
    pgd_buf_fini(&a.text);
    rig_close(&r);
}

static void a_name_says_nothing_to_other_tenants(void **state) {
    (void)state;
    rig r;
    said a;
    rig_reply p;
    char body[512], id[64];
    rig_open(&r, &(rig_options){0});
    say(&r, "t", &a);
    (void)snprintf(body, sizeof body,
                   ASK "[" USER ",{\"type\":\"item_reference\",\"id\":\"%s\"}," USER "]}", a.item);
    rig_respond(&r, "other", body, &p, id);
    assert_int_equal(p.status, 404);
    rig_reply_fini(&p);
    rig_respond(&r, "t", body, &p, id);
    if (p.status != 200) fail_msg("%s", p.body.p);
    rig_reply_fini(&p);
    pgd_buf_fini(&a.text);
    rig_close(&r);
}

static void names_that_cannot_be_are_refused(void **state) {
    (void)state;
    rig r;
    said a;
    char body[512];
    rig_open(&r, &(rig_options){0});
    say(&r, "", &a);
    (void)snprintf(body, sizeof body,
                   ASK "[{\"type\":\"item_reference\",\"id\":\"%s\"},{\"type\":\"item_reference\","
                       "\"id\":\"%s\"}]}",
                   a.item, a.item);
    rig_expect_error(&r, PGD_ROUTE_RESPONSES, body, 400, "input", "invalid_value");
    rig_expect_error(&r, PGD_ROUTE_RESPONSES, ASK "[{\"type\":\"item_reference\"}]}", 400,
                     "input[0].id", "invalid_type");
    rig_expect_error(&r, PGD_ROUTE_RESPONSES,
                     ASK "[{\"type\":\"item_reference\",\"id\":\"msg_x\"}]}", 404, "input[0].id",
                     "item_not_found");
    rig_expect_error(&r, PGD_ROUTE_INPUT_TOKENS,
                     ASK "[{\"type\":\"item_reference\",\"id\":\"msg_x\"}]}", 404, "input[0].id",
                     "item_not_found");
    pgd_buf_fini(&a.text);
    rig_close(&r);
    rig_open(&r, &(rig_options){.no_store = true});
    rig_expect_error(&r, PGD_ROUTE_RESPONSES,
                     ASK "[{\"type\":\"item_reference\",\"id\":\"msg_x\"}]}", 404, "input[0].id",
                     "item_not_found");
    rig_close(&r);
}

/* One response more than a body may name items of. */
static void a_body_names_items_of_so_many_responses(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_model_len = 4096, .n_pages = 4096});
    pgd_buf body = {0};
    pgd_buf_puts(&body, ASK "[" USER);
    for (int i = 0; i < 257; i++) {
        said a;
        char id[64];
        rig_reply p;
        say(&r, "", &a);
        pgd_buf_putf(&body, ",{\"type\":\"item_reference\",\"id\":\"%s\"}", a.item);
        pgd_buf_fini(&a.text);
        if (i < 255) continue;
        const size_t n = body.n;
        pgd_buf_puts(&body, "," USER "]}");
        rig_respond(&r, "", body.p, &p, id);
        if (p.status != (i == 255 ? 200 : 400)) fail_msg("%d: %s", i, p.body.p);
        body.n = n;
        rig_reply_fini(&p);
    }
    pgd_buf_fini(&body);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_item_reads_as_if_it_stood_there),
        cmocka_unit_test(a_name_says_nothing_to_other_tenants),
        cmocka_unit_test(names_that_cannot_be_are_refused),
        cmocka_unit_test(a_body_names_items_of_so_many_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

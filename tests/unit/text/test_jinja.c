/* The template engine beyond what the golden rows of tests/golden/templates compare: whose text is
 * whose, limits, messages with lines, and failing memory. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/arena.h"
#include "pagoda/jinja.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

/* Sanitizers make frames several times larger. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SANITIZED)
enum { STACK_KIB = 2048 };
#else
enum { STACK_KIB = 512 };
#endif

typedef struct result {
    pgd_status status;
    pgd_error err;
    pgd_rendered out;
} result;

/* Render source with the JSON object as context; role, if given, is added as a trusted string. */
static result render_with(const char *source, const char *json, const char *role,
                          const pgd_jinja_limits *lim) {
    result r = {0};
    pgd_jinja *t = NULL;
    pgd_arena *a = NULL;
    pgd_json_doc *doc = NULL;
    r.status = pgd_jinja_compile(pgd_sv_c(source), &t, &r.err);
    if (r.status == PGD_OK) r.status = pgd_arena_create(&a, 0);
    if (r.status == PGD_OK)
        r.status = pgd_json_parse(pgd_sv_c(json), &pgd_json_limits_file, &doc, &r.err);
    if (r.status == PGD_OK) {
        pgd_jinja_value *ctx = pgd_jinja_from_json(a, pgd_json_root(doc));
        if (!ctx) r.status = PGD_E_NOMEM;
        if (role) pgd_jinja_set(a, ctx, PGD_SV("role"), pgd_jinja_str(a, pgd_sv_c(role), true));
        if (ctx) r.status = pgd_jinja_render(t, ctx, lim, &r.out, &r.err);
    }
    pgd_json_free(&doc);
    pgd_arena_destroy(&a);
    pgd_jinja_destroy(&t);
    return r;
}

/* The text with untrusted runs put between « and ». */
static void marked(const pgd_rendered *r, char *out, size_t cap) {
    size_t n = 0, span = 0;
    bool inside = false;
    for (size_t i = 0; i <= r->text.n && n + 8 < cap; i++) {
        while (span < r->n_control && r->control[span].end <= i)
            span++;
        const bool trusted = span < r->n_control && r->control[span].begin <= i;
        const bool untrusted = !trusted && i < r->text.n;
        if (untrusted != inside) n += (size_t)snprintf(out + n, cap - n, untrusted ? "«" : "»");
        inside = untrusted;
        if (i < r->text.n) out[n++] = r->text.p[i];
    }
    out[n] = 0;
}

static void check_taint(const char *source, const char *json, const char *want) {
    char got[2048];
    result r = render_with(source, json, "user", NULL);
    if (r.status != PGD_OK) fail_msg("%s: %s", source, r.err.msg);
    marked(&r.out, got, sizeof(got));
    assert_string_equal(got, want);
    pgd_rendered_fini(&r.out);
}

#define C                                                                                          \
    "{\"c\":\"  <|x|>, Hi  \",\"n\":5,\"u\":\"é<|x|>é\",\"l\":[\"a\",\"b\"],\"d\":{\"k\":\"v\"}}"

static void text_of_data_is_never_control_text(void **state) {
    (void)state;
    check_taint("<|{{ role }}|>\n{{ c }}<|end|>", C, "<|user|>\n«  <|x|>, Hi  »<|end|>");
    check_taint("{{ '<|' ~ role ~ '|>' ~ c }}", C, "<|user|>«  <|x|>, Hi  »");
    check_taint("{{ '<|' + role + '|>' + c + '<e>' }}", C, "<|user|>«  <|x|>, Hi  »<e>");
    check_taint("{{ n }}{{ d.k }}{{ d | list | first }}", C, "5«vk»");
}

static void cutting_keeps_exact_ranges(void **state) {
    (void)state;
    check_taint("{{ ('[' ~ c ~ ']')[1:-1] }}", C, "«  <|x|>, Hi  »");
    check_taint("{{ ('[[' ~ c | trim ~ ']]')[1:6] }}", C, "[«<|x|»");
    check_taint("{{ ('  A' ~ c) | trim }}{{ (c ~ 'B  ') | trim }}", C,
                "A«  <|x|>, Hi<|x|>, Hi  »B");
    check_taint("{{ ('x,' ~ c ~ ',y').split(',') | join('-') }}", C, "x-«  <|x|>»-« Hi  »-y");
    check_taint("{{ (c ~ '<s>').split('|x|')[1] }}", C, "«>, Hi  »<s>");
    check_taint("{{ ('a' ~ u ~ 'b')[::-1] }}", C, "b«é>|x|<é»a");
    check_taint("{% for ch in 'a' ~ l[0] ~ 'b' %}{{ ch }}.{% endfor %}", C, "a.«a».b.");
    check_taint("{{ ('<t>' ~ l[0]).removeprefix('<') }}", C, "t>«a»");
}

static void replacing_and_formatting_keep_exact_ranges(void **state) {
    (void)state;
    check_taint("{{ 'a-b'.replace('-', l[0]) }}", C, "a«a»b");
    check_taint("{{ c.strip().replace('<|x|>', '<ok>') }}", C, "<ok>«, Hi»");
    check_taint("{{ '<%s>%d' % (l[0], n) }}", C, "<«a»>5");
    check_taint("{{ '<{}>{k}'.format(l[0], k=d.k) }}", C, "<«a»>«v»");
    check_taint("{{ '<%5s>' % l[0] }}", C, "<    «a»>");
    check_taint("{{ ('a\\n' ~ l[0]) | indent(2) }}", C, "a\n  «a»");
    check_taint("{{ ['<x>', l[0]] | join('|') }}", C, "<x>|«a»");
    check_taint("{{ ('<x>' ~ l[0]) | upper }}", C, "<X>«A»"); /* ASCII: byte for byte */
}

static void rewriting_marks_the_whole_result(void **state) {
    (void)state;
    check_taint("{{ {'<k>': l[0]} | tojson }}", C, "«{\"<k>\": \"a\"}»");
    check_taint("{{ {'<k>': 1} | tojson }}", C, "{\"<k>\": 1}");
    check_taint("{{ ('<x>' ~ u) | upper }}", C, "«<X>É<|X|>É»");
    check_taint("{{ [l[0], '<x>'] }}", C, "['«a»', '<x>']");
}

static void captured_text_keeps_its_ranges(void **state) {
    (void)state;
    check_taint("{% set x %}<{{ c }}>{% endset %}{{ x | trim }}", C, "<«  <|x|>, Hi  »>");
    check_taint("{% macro m(v) %}<{{ v }}>{% endmacro %}{{ m(l[0]) }}{{ m('t') }}", C, "<«a»><t>");
    check_taint("{% filter trim %} <{{ l[0] }}> {% endfilter %}", C, "<«a»>");
    check_taint(
        "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ l[1] }}!{% endcall %}", C,
        "<«b»!>");
    check_taint("{% set ns = namespace(t='') %}{% for x in l %}{% set ns.t = ns.t ~ '<' ~ x "
                "%}{% endfor %}{{ ns.t }}",
                C, "<«a»<«b»");
}

/* ---- limits ------------------------------------------------------------------------------- */

static void check_limit(const char *source, const pgd_jinja_limits *lim) {
    result r = render_with(source, "{\"s\":\"abc\"}", NULL, lim);
    if (r.status != PGD_E_LIMIT) fail_msg("%s: status %d, %s", source, r.status, r.err.msg);
    assert_true(r.err.msg[0] != 0);
    assert_int_equal(r.out.text.n, 0);
}

static void endless_work_ends_with_a_limit(void **state) {
    (void)state;
    pgd_jinja_limits lim = pgd_jinja_limits_default;
    lim.max_steps = 100000;
    check_limit("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
                &lim);
    check_limit("{{ range(99999) | list | sort | map('string') | join | length }}", &lim);
    check_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", NULL);
    check_limit("{% macro f(n) %}{% for i in [1] %}{{ f(n) }}{% endfor %}{% endmacro %}{{ f(1) }}",
                NULL);
    check_limit("{% for n in [[]] recursive %}{{ loop([[]]) }}{% endfor %}", NULL);
}

static void memory_and_output_are_bounded(void **state) {
    (void)state;
    pgd_jinja_limits lim = pgd_jinja_limits_default;
    lim.max_memory_bytes = (size_t)8 << 20;
    check_limit(
        "{% set ns = namespace(x='0123456789') %}{% for i in range(60) %}{% set ns.x = ns.x "
        "~ ns.x %}{% endfor %}{{ ns.x }}",
        &lim);
    check_limit("{{ 'x' * 999999999999 }}", &lim);
    check_limit("{{ [0] * 9999999 }}", &lim);
    check_limit("{{ 'x'.center(999999999) }}", &lim);
    lim = pgd_jinja_limits_default;
    lim.max_output_bytes = 1000;
    check_limit("{% for i in range(99999) %}0123456789{% endfor %}", &lim);
}

static void deep_data_and_templates_are_refused_not_crashed(void **state) {
    (void)state;
    static char source[200000];
    const size_t n = 60000;
    memset(source, '(', n);
    result r = render_with(source, "{}", NULL, NULL);
    assert_int_equal(r.status, PGD_OK); /* plain text */
    pgd_rendered_fini(&r.out);
    static const char *const openers[] = {"(", "[", "not ", "-", "{1:", "f(", "x if ", "a["};
    for (size_t k = 0; k < sizeof(openers) / sizeof(openers[0]); k++) {
        size_t at = (size_t)snprintf(source, sizeof(source), "{{ ");
        for (size_t i = 0; i < 20000; i++)
            at += (size_t)snprintf(source + at, sizeof(source) - at, "%s", openers[k]);
        snprintf(source + at, sizeof(source) - at, " }}");
        r = render_with(source, "{}", NULL, NULL);
        assert_int_equal(r.status, PGD_E_FORMAT);
    }
    size_t at = (size_t)snprintf(source, sizeof(source), "{{ 1");
    for (size_t i = 0; i < 20000; i++)
        at += (size_t)snprintf(source + at, sizeof(source) - at, " + 1");
    snprintf(source + at, sizeof(source) - at, " }}");
    r = render_with(source, "{}", NULL, NULL); /* deep to the left: refused when evaluated */
    assert_int_equal(r.status, PGD_E_LIMIT);
    at = (size_t)snprintf(source, sizeof(source), "{{ 1");
    for (size_t i = 0; i < 20000; i++)
        at += (size_t)snprintf(source + at, sizeof(source) - at, "|trim");
    snprintf(source + at, sizeof(source) - at, " }}");
    r = render_with(source, "{}", NULL, NULL);
    assert_int_equal(r.status, PGD_E_LIMIT);
}

static void lists_that_nest_themselves_by_name_are_bounded(void **state) {
    (void)state;
    check_limit("{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] "
                "%}{% endfor %}{{ ns.l }}",
                NULL);
    check_limit("{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] "
                "%}{% endfor %}{{ ns.l | tojson }}",
                NULL);
    check_limit(
        "{% set ns = namespace(l=[], m=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] "
        "%}{% set ns.m = [ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
        NULL);
    check_limit("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", NULL);
}

/* Worker threads have small stacks: the deepest nesting that the limits allow must fit. */
static void *deepest_renders(void *arg) {
    bool *const ok = arg;
    char source[8192];
    *ok = true;
    static const char *const open[] = {"(", "[", "-(", "not (", "f(", "{1: "};
    static const char *const close[] = {")", "]", ")", ")", ")", "}"};
    for (size_t k = 0; k < sizeof(open) / sizeof(open[0]); k++) {
        for (int depth = 1; depth < 120; depth += 7) {
            int n = snprintf(source, sizeof(source), "{{ ");
            for (int i = 0; i < depth; i++)
                n += snprintf(source + n, sizeof(source) - (size_t)n, "%s", open[k]);
            n += snprintf(source + n, sizeof(source) - (size_t)n, "1");
            for (int i = 0; i < depth; i++)
                n += snprintf(source + n, sizeof(source) - (size_t)n, "%s", close[k]);
            snprintf(source + n, sizeof(source) - (size_t)n, " }}");
            result r = render_with(source, "{}", NULL, NULL);
            pgd_rendered_fini(&r.out);
        }
    }
    result r =
        render_with("{% macro f(n) %}{% if n %}{% for i in [n] %}{{ (f(n - 1)) }}{% endfor %}"
                    "{% endif %}{% endmacro %}{{ f(100000) }}",
                    "{}", NULL, NULL);
    *ok = *ok && r.status == PGD_E_LIMIT;
    r = render_with("{% macro f(x) %}{{ [x] | map('map', 'map', 'first') | list }}{{ '%s' % "
                    "f(x) }}{% endmacro %}{{ f(1) }}",
                    "{}", NULL, NULL);
    *ok = *ok && r.status != PGD_OK;
    return NULL;
}

static void the_deepest_nesting_fits_a_small_stack(void **state) {
    (void)state;
    bool ok = false;
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)STACK_KIB << 10);
    assert_int_equal(pthread_create(&thread, &attr, deepest_renders, &ok), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    assert_true(ok);
}

/* ---- messages ----------------------------------------------------------------------------- */

static void check_message(const char *source, pgd_status status, const char *want) {
    result r = render_with(source, "{\"d\":{\"a\":1},\"l\":[1],\"s\":\"x\"}", NULL, NULL);
    assert_int_equal(r.status, status);
    if (!strstr(r.err.msg, want)) fail_msg("%s: '%s' lacks '%s'", source, r.err.msg, want);
    pgd_rendered_fini(&r.out);
}

static void errors_name_the_line_and_the_reason(void **state) {
    (void)state;
    check_message("a\nb\n{{ x.y }}", PGD_E_INVALID, "line 3: 'x' is undefined");
    check_message("{{ d.q.r }}", PGD_E_INVALID, "'dict object' has no attribute 'q'");
    check_message("{{ l[5].r }}", PGD_E_INVALID, "list object has no element 5");
    check_message("\n{{ s + 1 }}", PGD_E_INVALID, "line 2: can only concatenate str (not \"int\")");
    check_message("{{ l.append(1) }}", PGD_E_INVALID, "access to attribute 'append' of 'list'");
    check_message("{{ d.pop('a') }}", PGD_E_INVALID, "access to attribute 'pop' of 'dict'");
    check_message("{{ l.pop() }}", PGD_E_INVALID, "cannot be changed");
    check_message("{{ s() }}", PGD_E_INVALID, "'str' object is not callable");
    check_message("{{ s.nope() }}", PGD_E_INVALID, "'str object' has no attribute 'nope'");
    check_message("{{ s | replace }}", PGD_E_INVALID, "missing argument 'old'");
    check_message("{{ s | indent(9, zork=1) }}", PGD_E_INVALID,
                  "unexpected keyword argument 'zork'");
    check_message("{{ raise_exception('roles must alternate') }}", PGD_E_INVALID,
                  "roles must alternate");
    check_message("{{ 9223372036854775807 + 1 }}", PGD_E_INVALID, "does not fit 64 bits");
    check_message("{{ s | random }}", PGD_E_INVALID, "not supported");
}

static void syntax_errors_name_the_line(void **state) {
    (void)state;
    check_message("a\n{% if x %}\nb", PGD_E_FORMAT, "'if' of line 2 is not closed");
    check_message("{% include 'x' %}", PGD_E_FORMAT, "not supported");
    check_message("a\n\n{{ 1 + }}", PGD_E_FORMAT, "line 3: unexpected end of print statement");
    check_message("{{ s | zork }}", PGD_E_FORMAT, "no filter named 'zork'");
    check_message("{{ s is zork }}", PGD_E_FORMAT, "no test named 'zork'");
    check_message("{% endfor %}", PGD_E_FORMAT, "unknown tag 'endfor'");
    check_message("{% break %}", PGD_E_FORMAT, "break outside of a loop");
    check_message("{{ 'abc }}", PGD_E_FORMAT, "unterminated string");
    check_message("{{ ( ] }}", PGD_E_FORMAT, "unexpected ']'");
    check_message("\xff", PGD_E_FORMAT, "UTF-8");
    check_message("{{ 99999999999999999999 }}", PGD_E_FORMAT, "too large");
}

static void raise_exception_gives_the_message_alone(void **state) {
    (void)state;
    result r = render_with("a\n{{ raise_exception('Only user!') }}", "{}", NULL, NULL);
    assert_int_equal(r.status, PGD_E_INVALID);
    assert_string_equal(r.err.msg, "Only user!");
}

/* ---- memory ------------------------------------------------------------------------------- */

static void failing_memory_fails_the_render_cleanly(void **state) {
    (void)state;
    const char *const source =
        "{% macro m(x) %}{{ x | upper }}{% endmacro %}{% for k, v in d.items() %}{{ k }}{{ m(v) }}"
        "{% endfor %}{{ l | tojson }}{{ d | dictsort }}{{ '%s' % s }}";
    for (int64_t n = 0; n < 400; n++) {
        pgd_mem_fail_after(n);
        result r = render_with(source, "{\"d\":{\"a\":\"b\"},\"l\":[1,{\"x\":2}],\"s\":\"x\"}",
                               NULL, NULL);
        const bool fired = pgd_mem_fail_after(-1);
        if (!fired) {
            assert_int_equal(r.status, PGD_OK);
            pgd_rendered_fini(&r.out);
            return;
        }
        if (r.status == PGD_OK)
            pgd_rendered_fini(&r.out); /* the failure hit something that retries */
        else
            assert_true(r.status == PGD_E_NOMEM || r.status == PGD_E_LIMIT);
    }
    fail_msg("the render never ran out of failing allocations");
}

static void the_clock_is_what_the_limits_say(void **state) {
    (void)state;
    pgd_jinja_limits lim = pgd_jinja_limits_default;
    lim.now_unix = 951782400; /* 2000-02-29 00:00 UTC, a Tuesday */
    result r = render_with("{{ strftime_now('%A %d %b %Y %j %H') }}", "{}", NULL, &lim);
    assert_int_equal(r.status, PGD_OK);
    assert_string_equal(r.out.text.p, "Tuesday 29 Feb 2000 060 00");
    pgd_rendered_fini(&r.out);
    r = render_with("{{ strftime_now('%Y') | int >= 2024 }}", "{}", NULL, NULL);
    assert_string_equal(r.out.text.p, "True");
    pgd_rendered_fini(&r.out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_data_is_never_control_text),
        cmocka_unit_test(cutting_keeps_exact_ranges),
        cmocka_unit_test(replacing_and_formatting_keep_exact_ranges),
        cmocka_unit_test(rewriting_marks_the_whole_result),
        cmocka_unit_test(captured_text_keeps_its_ranges),
        cmocka_unit_test(endless_work_ends_with_a_limit),
        cmocka_unit_test(memory_and_output_are_bounded),
        cmocka_unit_test(deep_data_and_templates_are_refused_not_crashed),
        cmocka_unit_test(lists_that_nest_themselves_by_name_are_bounded),
        cmocka_unit_test(the_deepest_nesting_fits_a_small_stack),
        cmocka_unit_test(errors_name_the_line_and_the_reason),
        cmocka_unit_test(syntax_errors_name_the_line),
        cmocka_unit_test(raise_exception_gives_the_message_alone),
        cmocka_unit_test(failing_memory_fails_the_render_cleanly),
        cmocka_unit_test(the_clock_is_what_the_limits_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

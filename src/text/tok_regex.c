/* Pre-tokenizer patterns on PCRE2 with its JIT.
 *
 * Compiled code is shared read-only; each call brings its own match data, match context and JIT
 * stack in a matcher. Text is valid UTF-8 by contract, so PCRE2's check is off: it would cost one
 * pass over the whole text per match. Match and heap limits bound what a pattern can do with a
 * text it backtracks on; JIT stack overflow falls back to the interpreter, which keeps its stack on
 * the (limited) heap. Thread: compile and free by the loader, match by any, one matcher each.
 * Does not support captures beyond the whole match. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tok_regex.h"

#include <pcre2.h>

#include "pagoda/mem.h"

enum {
    MATCH_LIMIT = 50 * 1000 * 1000, /* backtracking steps of one match */
    HEAP_LIMIT_KIB = 128 * 1024,
    JIT_STACK_START = 32 * 1024,
    JIT_STACK_MAX = 8 * 1024 * 1024,
};

struct pgd_tok_regex {
    pcre2_code *code;
};

struct pgd_tok_matcher {
    pcre2_general_context *general;
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

static void *pcre_malloc(size_t n, void *tag) {
    (void)tag;
    return pgd_malloc(n);
}

static void pcre_free(void *p, void *tag) {
    (void)tag;
    pgd_free(p);
}

static pgd_status compile_with(pcre2_general_context *general, pgd_sv pattern, bool literal,
                               pgd_tok_regex *re, pgd_error *err) {
    pcre2_compile_context *const cc = pcre2_compile_context_create(general);
    if (cc == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    const uint32_t options =
        literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;
    int code = 0;
    PCRE2_SIZE at = 0;
    re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (re->code == NULL && code == PCRE2_ERROR_HEAP_FAILED) {
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    if (re->code == NULL) {
        PCRE2_UCHAR why[128] = {0};
        pcre2_get_error_message(code, why, sizeof why);
        return pgd_fail(err, PGD_E_UNSUPPORTED, "pattern at byte %zu: %s", (size_t)at,
                        (const char *)why);
    }
    /* Without JIT (unsupported CPU, no executable memory) matching works, only slower. */
    (void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
    return PGD_OK;
}

pgd_status pgd_tok_regex_compile(pgd_sv pattern, bool literal, pgd_tok_regex **out,
                                 pgd_error *err) {
    *out = NULL;
    pgd_buf translated = {0};
    pgd_tok_regex *re = NULL;
    pcre2_general_context *general = NULL;
    pgd_status st = PGD_OK;
    if (!literal) st = pgd_tok_regex_translate(pattern, &translated, err);
    if (st == PGD_OK) {
        re = pgd_calloc(1, sizeof *re);
        general = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
        if (re == NULL || general == NULL) st = pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    if (st == PGD_OK) {
        pgd_sv source = literal ? pattern : pgd_buf_sv(&translated);
        if (source.p == NULL) source = (pgd_sv){"", 0};
        st = compile_with(general, source, literal, re, err);
    }
    pcre2_general_context_free(general);
    pgd_buf_fini(&translated);
    if (st == PGD_OK) {
        *out = re;
    } else {
        pgd_free(re);
    }
    return st;
}

void pgd_tok_regex_free(pgd_tok_regex **re) {
    if (*re == NULL) return;
    pcre2_code_free((*re)->code);
    pgd_free(*re);
    *re = NULL;
}

pgd_status pgd_tok_matcher_create(pgd_tok_matcher **out) {
    *out = NULL;
    pgd_tok_matcher *m = pgd_calloc(1, sizeof *m);
    if (m == NULL) return PGD_E_NOMEM;
    m->general = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
    m->context = m->general == NULL ? NULL : pcre2_match_context_create(m->general);
    m->data = m->general == NULL ? NULL : pcre2_match_data_create(1, m->general);
    if (m->context == NULL || m->data == NULL) {
        pgd_tok_matcher_destroy(&m);
        return PGD_E_NOMEM;
    }
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    /* NULL (no JIT in this build) is fine: the interpreter takes over. */
    m->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, m->general);
    pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = m;
    return PGD_OK;
}

void pgd_tok_matcher_destroy(pgd_tok_matcher **m) {
    if (*m == NULL) return;
    pcre2_jit_stack_free((*m)->stack);
    pcre2_match_data_free((*m)->data);
    pcre2_match_context_free((*m)->context);
    pcre2_general_context_free((*m)->general);
    pgd_free(*m);
    *m = NULL;
}

static int match_at(const pgd_tok_regex_iter *it, size_t from) {
    const PCRE2_SPTR subject = (PCRE2_SPTR)(it->text.p == NULL ? "" : it->text.p);
    int rc = pcre2_match(it->re->code, subject, it->text.n, from, PCRE2_NO_UTF_CHECK, it->m->data,
                         it->m->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(it->re->code, subject, it->text.n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         it->m->data, it->m->context);
    }
    return rc;
}

pgd_status pgd_tok_regex_next(pgd_tok_regex_iter *it, bool *found, size_t *begin, size_t *end,
                              pgd_error *err) {
    *found = false;
    while (it->from <= it->text.n) {
        const int rc = match_at(it, it->from);
        if (rc == PCRE2_ERROR_NOMATCH) return PGD_OK;
        if (rc == PCRE2_ERROR_NOMEMORY) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        if (rc < 0) {
            return pgd_fail(err, PGD_E_LIMIT,
                            "the tokenizer's pattern exceeds its limits on this text (PCRE2 %d)",
                            rc);
        }
        const PCRE2_SIZE *const ov = pcre2_get_ovector_pointer(it->m->data);
        const size_t b = ov[0] < ov[1] ? ov[0] : ov[1], e = ov[1];
        if (b == e && it->last_end == e) {
            size_t step = 1;
            while (it->from + step < it->text.n &&
                   ((unsigned char)it->text.p[it->from + step] & 0xC0) == 0x80) {
                step++;
            }
            it->from += step;
            continue;
        }
        it->from = e;
        it->last_end = e;
        *begin = b;
        *end = e;
        *found = true;
        return PGD_OK;
    }
    return PGD_OK;
}

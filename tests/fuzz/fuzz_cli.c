/* What a server may send to pagoda chat, and what a terminal may: the same verdict and the same
 * text however the bytes arrive, and nothing shown that a terminal would obey. The first byte of
 * the input chooses the size of the pieces and which of the two it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/clean.h"
#include "cli/editor.h"
#include "cli/reply.h"
#include "cli/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

typedef struct view {
    cli_answer answer;
    cli_sse sse;
    cli_clean clean;
    pgd_buf shown;
} view;

static void show(void *ctx, cli_piece kind, pgd_sv text) {
    (void)kind;
    view *v = ctx;
    cli_clean_feed(&v->clean, text, &v->shown);
}

static pgd_status take_event(void *ctx, pgd_sv data, pgd_error *err) {
    view *v = ctx;
    return cli_answer_event(&v->answer, data, 1, err);
}

static pgd_status take_body(void *ctx, const cli_reply *reply, pgd_sv body, pgd_error *err) {
    check(reply->status >= 200);
    view *v = ctx;
    return cli_sse_feed(&v->sse, body, take_event, v, err);
}

static pgd_status read_stream(view *v, const char *in, size_t n, size_t piece) {
    cli_reply reply = {0};
    pgd_status status = PGD_OK;
    v->answer.show = show;
    v->answer.ctx = v;
    for (size_t at = 0; at < n && status == PGD_OK; at += piece) {
        const size_t take = n - at < piece ? n - at : piece;
        char *copy = malloc(take);
        check(copy != NULL);
        memcpy(copy, in + at, take);
        status = cli_reply_feed(&reply, (pgd_sv){copy, take}, take_body, v, NULL);
        free(copy);
    }
    if (status == PGD_OK) status = cli_reply_close(&reply, NULL);
    cli_clean_end(&v->clean, &v->shown);
    cli_reply_fini(&reply);
    return status;
}

static void check_fit(pgd_sv s) {
    for (size_t at = 0; at < s.n;) {
        uint32_t cp = 0;
        const size_t len = pgd_utf8_decode(s.p + at, s.n - at, &cp);
        check(len > 0 && (cp >= 0x20 || cp == '\n' || cp == '\t') && (cp < 0x7f || cp >= 0xa0));
        at += len;
    }
}

static void fini(view *v) {
    cli_answer_fini(&v->answer);
    cli_sse_fini(&v->sse);
    pgd_buf_fini(&v->shown);
}

static void fuzz_stream(const char *in, size_t n, size_t piece) {
    view whole = {0};
    view cut = {0};
    const pgd_status a = read_stream(&whole, in, n, n > 0 ? n : 1);
    const pgd_status b = read_stream(&cut, in, n, piece);
    check(a == b);
    check(pgd_sv_eq(pgd_buf_sv(&whole.shown), pgd_buf_sv(&cut.shown)));
    check(pgd_sv_eq(pgd_buf_sv(&whole.answer.text), pgd_buf_sv(&cut.answer.text)));
    check_fit(pgd_buf_sv(&whole.shown));
    pgd_buf stats = {0};
    cli_answer_put_stats(&whole.answer, false, &stats);
    check_fit(pgd_buf_sv(&stats));
    pgd_buf_clear(&stats);
    cli_error_text(500, "x", (pgd_sv){in, n}, &stats);
    check_fit(pgd_buf_sv(&stats));
    pgd_buf_fini(&stats);
    fini(&whole);
    fini(&cut);
}

static void fuzz_editor(const char *in, size_t n, size_t columns) {
    cli_editor e = {0};
    const cli_screen screen = {columns, 5, "> ", "", ""};
    pgd_buf out = {0};
    for (size_t i = 0; i < n; i++) {
        if (cli_editor_feed(&e, in[i]) == CLI_EDIT_LINE) cli_editor_reset(&e, CLI_EDITOR_KEEP);
        check(e.cursor <= e.text.n);
        pgd_buf_clear(&out);
        cli_editor_draw(&e, &screen, &out);
        check(e.drawn_row < 5);
    }
    check_fit(pgd_buf_sv(&e.text));
    pgd_buf_fini(&out);
    cli_editor_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const char *in = (const char *)data + 1;
    const size_t choice = data[0] & 0x7f;
    if (data[0] & 0x80)
        fuzz_editor(in, size - 1, 1 + choice % 40);
    else
        fuzz_stream(in, size - 1, 1 + choice);
    return 0;
}

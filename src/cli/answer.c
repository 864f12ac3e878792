/* Reading the chunks of a streamed chat completion.
 *
 * Lenient, for any OpenAI-compatible server: fields that are absent or of another type are
 * skipped, reasoning is taken from either name it goes by, usage from the last chunk that has it.
 * Only the first choice is read, for only one is asked for. Tokens are the server's count where it
 * sends usage; else the number of pieces stands in, marked by "~", since most servers send a token
 * a chunk. The rate is that of decoding, from the first piece to the last. Thread: the caller's. */
#include "cli/answer.h"

#include <stdio.h>

#include "cli/clean.h"
#include "pagoda/json.h"

enum { MAX_ANSWER_BYTES = 64 << 20, MAX_SHOWN_BODY = 300 };

void cli_answer_fini(cli_answer *a) {
    pgd_buf_fini(&a->text);
}

static pgd_status take_piece(cli_answer *a, cli_piece kind, const pgd_json *v, uint64_t now_ns,
                             pgd_error *err) {
    pgd_sv text = {0};
    if (!pgd_json_as_str(v, &text) || text.n == 0) return PGD_OK;
    if (a->first_ns == 0) a->first_ns = now_ns;
    a->last_ns = now_ns;
    a->n_pieces++;
    if (kind == CLI_PIECE_TEXT) {
        if (a->text.n + text.n > MAX_ANSWER_BYTES)
            return pgd_fail(err, PGD_E_LIMIT, "the answer is longer than %d bytes",
                            MAX_ANSWER_BYTES);
        pgd_buf_putsv(&a->text, text);
        if (a->text.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    a->show(a->ctx, kind, text);
    return PGD_OK;
}

/* The message of {"error": {"message": ...}}, {"error": "..."}, {"message": ...}, {"detail": ...};
 * empty when it has none of them. */
static pgd_sv find_message(const pgd_json *root) {
    pgd_sv text = {0};
    const pgd_json *error = pgd_json_get(root, "error");
    if (pgd_json_as_str(pgd_json_get(error, "message"), &text)) return text;
    if (pgd_json_as_str(error, &text)) return text;
    if (pgd_json_as_str(pgd_json_get(root, "message"), &text)) return text;
    (void)pgd_json_as_str(pgd_json_get(root, "detail"), &text);
    return text;
}

static pgd_status take_chunk(cli_answer *a, const pgd_json *root, uint64_t now_ns, pgd_error *err) {
    if (!pgd_json_is_null(pgd_json_get(root, "error"))) {
        pgd_buf clean = {0};
        cli_clean_text(find_message(root), &clean);
        const pgd_status status = pgd_fail(err, PGD_E_INTERNAL, "the server broke off: %s",
                                           clean.n > 0 ? clean.p : "it gave no reason");
        pgd_buf_fini(&clean);
        return status;
    }
    const pgd_json *usage = pgd_json_get(root, "usage");
    if (pgd_json_as_u64(pgd_json_get(usage, "completion_tokens"), &a->completion_tokens)) {
        a->has_usage = true;
        (void)pgd_json_as_u64(pgd_json_get(usage, "prompt_tokens"), &a->prompt_tokens);
    }
    const pgd_json *choices = pgd_json_get(root, "choices");
    const pgd_json *choice = pgd_json_first(choices);
    const pgd_json *delta = pgd_json_get(choice, "delta");
    const pgd_json *reasoning = pgd_json_get(delta, "reasoning_content");
    if (pgd_json_is_null(reasoning)) reasoning = pgd_json_get(delta, "reasoning");
    PGD_TRY(take_piece(a, CLI_PIECE_REASONING, reasoning, now_ns, err));
    PGD_TRY(take_piece(a, CLI_PIECE_TEXT, pgd_json_get(delta, "content"), now_ns, err));
    pgd_sv finish = {0};
    if (pgd_json_as_str(pgd_json_get(choice, "finish_reason"), &finish)) {
        pgd_buf clean = {0};
        cli_clean_text(finish, &clean);
        (void)snprintf(a->finish, sizeof(a->finish), "%s", clean.n > 0 ? clean.p : "");
        pgd_buf_fini(&clean);
    }
    return PGD_OK;
}

pgd_status cli_answer_event(cli_answer *a, pgd_sv data, uint64_t now_ns, pgd_error *err) {
    if (a->done) return PGD_OK;
    if (pgd_sv_eq(data, PGD_SV("[DONE]"))) {
        a->done = true;
        return PGD_OK;
    }
    pgd_json_doc *doc = NULL;
    pgd_status status = pgd_json_parse(data, &pgd_json_limits_request, &doc, err);
    if (status != PGD_OK) return pgd_wrap(err, "the server sent an event that is no JSON");
    status = take_chunk(a, pgd_json_root(doc), now_ns, err);
    pgd_json_free(&doc);
    return status;
}

void cli_answer_put_stats(const cli_answer *a, bool stopped, pgd_buf *out) {
    const uint64_t n = a->has_usage ? a->completion_tokens : a->n_pieces;
    pgd_buf_putf(out, "%s%llu token%s", a->has_usage ? "" : "~", (unsigned long long)n,
                 n == 1 ? "" : "s");
    /* the first token marks the beginning, so that one fewer came in the time between */
    if (n > 1 && a->last_ns > a->first_ns)
        pgd_buf_putf(out, ", %.1f tokens/s",
                     (double)(n - 1) * 1e9 / (double)(a->last_ns - a->first_ns));
    if (a->first_ns > 0)
        pgd_buf_putf(out, ", first after %.0f ms", (double)(a->first_ns - a->sent_ns) / 1e6);
    if (stopped)
        pgd_buf_puts(out, ", stopped");
    else if (pgd_sv_eq(pgd_sv_c(a->finish), PGD_SV("length")))
        pgd_buf_puts(out, ", cut off at the limit of tokens");
    else if (a->finish[0] != '\0' && !pgd_sv_eq(pgd_sv_c(a->finish), PGD_SV("stop")))
        pgd_buf_putf(out, ", ended by %s", a->finish);
}

void cli_error_text(int status, const char *reason, pgd_sv body, pgd_buf *out) {
    pgd_json_doc *doc = NULL;
    pgd_sv message = {0};
    if (pgd_json_parse(body, &pgd_json_limits_request, &doc, NULL) == PGD_OK)
        message = find_message(pgd_json_root(doc));
    if (message.n > 0) {
        cli_clean_text(message, out);
        pgd_buf_putf(out, " (HTTP %d)", status);
    } else {
        pgd_buf_putf(out, "the server answered HTTP %d ", status);
        cli_clean_text(pgd_sv_c(reason), out);
        if (body.n > 0) pgd_buf_puts(out, ": ");
        cli_clean_text((pgd_sv){body.p, body.n < MAX_SHOWN_BODY ? body.n : MAX_SHOWN_BODY}, out);
    }
    pgd_json_free(&doc);
}

#include "fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/jsonw.h"
#include "pagoda/mem.h"
#include "support.h"

static void set_json(pgd_buf *b, const pgd_json *v) {
    pgd_buf_clear(b);
    pgd_jsonw w;
    pgd_jsonw_init(&w, b);
    pgd_jsonw_node(&w, v);
}

static void append_items(pgd_buf *b, const pgd_json *array, size_t *n) {
    assert_int_equal(pgd_json_typeof(array), PGD_JSON_ARRAY);
    for (const pgd_json *v = pgd_json_first(array); v; v = pgd_json_next(v)) {
        if (b->n) pgd_buf_putc(b, ',');
        pgd_jsonw w;
        pgd_jsonw_init(&w, b);
        pgd_jsonw_node(&w, v);
        if (n) (*n)++;
    }
}

static void same_or_set(pgd_buf *b, const pgd_json *v) {
    pgd_buf now = {0};
    set_json(&now, v);
    if (b->n)
        assert_string_equal(b->p, now.p);
    else
        pgd_buf_putsv(b, pgd_buf_sv(&now));
    pgd_buf_fini(&now);
}

static void add_logprobs(const fold *f, fold_choice *ch, const pgd_json *v) {
    static const char *const key[4] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    if (pgd_json_is_null(v)) return;
    if (f->chat) {
        assert_true(pgd_json_is_null(test_at(v, "refusal")));
        append_items(&ch->logprobs[0], test_at(v, "content"), &ch->n_logprobs);
        return;
    }
    size_t n[4] = {0};
    for (int i = 0; i < 4; i++)
        append_items(&ch->logprobs[i], test_at(v, key[i]), &n[i]);
    for (int i = 1; i < 4; i++)
        assert_int_equal(n[i], n[0]);
    ch->n_logprobs += n[0];
}

static void add_finish(fold_choice *ch, const pgd_json *choice) {
    pgd_sv why;
    const pgd_json *const v = test_at(choice, "finish_reason");
    if (pgd_json_is_null(v)) return;
    assert_true(pgd_json_as_str(v, &why));
    if (!pgd_sv_eq(why, PGD_SV("stop")) && !pgd_sv_eq(why, PGD_SV("length")) &&
        !pgd_sv_eq(why, PGD_SV("tool_calls")))
        fail_msg("finish_reason '%s'", why.p);
    ch->finished = true;
    pgd_buf_putsv(&ch->finish, why);
    set_json(&ch->stop_reason, test_at(choice, "stop_reason"));
}

static void add_text(pgd_buf *b, const pgd_json *v) {
    pgd_sv s;
    if (!pgd_json_as_str(v, &s)) fail_msg("text is no string");
    pgd_buf_putsv(b, s);
}

static void add_reasoning(fold_choice *ch, const pgd_json *v) {
    const pgd_json *const a = test_find(v, "reasoning_content"), *b = test_find(v, "reasoning");
    if (!a && !b) return;
    pgd_sv s;
    assert_true(pgd_json_as_str(a, &s));
    test_str_is(v, "reasoning", s.p);
    pgd_buf_putsv(&ch->reasoning, s);
}

/* The first delta of a call (or the whole call of a plain answer). */
static void open_call(fold_choice *ch, const pgd_json *v) {
    assert_in_range(ch->n_calls, 0, FOLD_MAX_CALLS - 1);
    fold_call *const call = &ch->calls[ch->n_calls++];
    add_text(&call->id, test_at(v, "id"));
    assert_true(call->id.n > 0);
    test_str_is(v, "type", "function");
    add_text(&call->name, test_at(v, "function.name"));
    add_text(&call->args, test_at(v, "function.arguments"));
}

static void add_call_delta(fold_choice *ch, const pgd_json *calls) {
    assert_int_equal(pgd_json_count(calls), 1);
    const pgd_json *const v = pgd_json_first(calls);
    const int64_t i = test_int(v, "index");
    if (i == (int64_t)ch->n_calls) {
        assert_int_equal(pgd_json_count(v), 4);
        test_str_is(v, "function.arguments", "");
        open_call(ch, v);
        return;
    }
    assert_int_equal(i, (int64_t)ch->n_calls - 1); /* calls do not interleave */
    assert_int_equal(pgd_json_count(v), 2);
    assert_int_equal(pgd_json_count(test_at(v, "function")), 1);
    add_text(&ch->calls[i].args, test_at(v, "function.arguments"));
}

static fold_choice *choice_of(fold *f, const pgd_json *v) {
    const int64_t i = test_int(v, "index");
    assert_in_range(i, 0, FOLD_MAX_CHOICES - 1);
    fold_choice *const ch = &f->choice[i];
    if (!ch->seen && f->chat) {
        for (int64_t k = 0; k < i; k++)
            if (!f->choice[k].seen) fail_msg("choice %d before choice %d", (int)i, (int)k);
    }
    if ((size_t)i >= f->n_choices) f->n_choices = (size_t)i + 1;
    return ch;
}

static void chat_chunk(fold *f, const pgd_json *v) {
    fold_choice *const ch = choice_of(f, v);
    const pgd_json *const delta = test_at(v, "delta");
    const pgd_json *const role = test_find(delta, "role");
    if (ch->finished) fail_msg("chunk after the finish of a choice");
    if (!ch->seen) {
        test_str_is(delta, "role", "assistant");
        test_str_is(delta, "content", "");
    } else if (role) {
        fail_msg("role twice");
    }
    ch->seen = true;
    const pgd_json *const content = test_find(delta, "content");
    if (content) add_text(&ch->text, content);
    if (content && !role) f->n_content_chunks++;
    add_logprobs(f, ch, test_at(v, "logprobs"));
    add_finish(ch, v);
    if (ch->finished)
        assert_int_equal(pgd_json_count(delta), 0);
    else if (!role)
        assert_int_equal(pgd_json_count(delta), test_find(delta, "reasoning") ? 2 : 1);
    add_reasoning(ch, delta);
    const pgd_json *const calls = test_find(delta, "tool_calls");
    if (calls) add_call_delta(ch, calls);
    const pgd_json *const ids = test_find(v, "token_ids");
    if (ids) append_items(&ch->ids, ids, NULL);
}

static void text_chunk(fold *f, const pgd_json *v) {
    fold_choice *const ch = choice_of(f, v);
    if (ch->finished) fail_msg("chunk after the finish of a choice");
    const pgd_json *const prompt = test_find(v, "prompt_token_ids");
    if (prompt && ch->prompt_ids.n) fail_msg("prompt_token_ids twice");
    if (prompt) set_json(&ch->prompt_ids, prompt);
    ch->seen = true;
    add_text(&ch->text, test_at(v, "text"));
    add_logprobs(f, ch, test_at(v, "logprobs"));
    add_finish(ch, v);
    if (!ch->finished) f->n_content_chunks++;
    const pgd_json *const ids = test_find(v, "token_ids");
    if (ids) append_items(&ch->ids, ids, NULL);
}

static void chunk(fold *f, const pgd_json *v, unsigned flags) {
    if (test_find(v, "error")) {
        assert_int_equal(pgd_json_count(v), 1);
        set_json(&f->error, test_at(v, "error"));
        for (const char *const *k = (const char *const[]){"message", "type", "param", "code", NULL};
             *k; k++)
            (void)test_at(v, k[0][0] == 'm'   ? "error.message"
                             : k[0][0] == 't' ? "error.type"
                             : k[0][0] == 'p' ? "error.param"
                                              : "error.code");
        return;
    }
    if (f->error.n) fail_msg("chunk after an error");
    f->n_chunks++;
    pgd_sv object;
    assert_true(pgd_json_as_str(test_at(v, "object"), &object));
    f->chat = pgd_sv_eq(object, PGD_SV("chat.completion.chunk"));
    if (!f->chat) assert_string_equal(object.p, "text_completion");
    same_or_set(&f->id, test_at(v, "id"));
    same_or_set(&f->model, test_at(v, "model"));
    (void)test_at(v, "system_fingerprint");
    const int64_t created = test_int(v, "created");
    if (f->created) assert_int_equal(created, f->created);
    f->created = created;
    const pgd_json *const choices = test_at(v, "choices");
    assert_int_equal(pgd_json_typeof(choices), PGD_JSON_ARRAY);
    if (f->usage.n && !(flags & FOLD_CONTINUOUS)) fail_msg("chunk after the usage chunk");
    const pgd_json *const usage = test_find(v, "usage");
    if (!(flags & FOLD_USAGE))
        assert_null(usage);
    else
        assert_non_null(usage);
    if (pgd_json_count(choices) == 0) {
        assert_true((flags & FOLD_USAGE) != 0);
        for (size_t i = 0; i < f->n_choices; i++)
            assert_true(f->choice[i].finished);
        set_json(&f->usage, usage);
        return;
    }
    if (flags & FOLD_CONTINUOUS)
        assert_int_equal(pgd_json_typeof(usage), PGD_JSON_OBJECT);
    else if (usage)
        assert_true(pgd_json_is_null(usage));
    const pgd_json *const ids = test_find(v, "prompt_token_ids");
    if (ids) set_json(&f->prompt_ids, ids);
    for (const pgd_json *c = pgd_json_first(choices); c; c = pgd_json_next(c)) {
        if (f->chat)
            chat_chunk(f, c);
        else
            text_chunk(f, c);
    }
}

static void start(fold *f) {
    *f = (fold){0};
    f->choice = pgd_calloc(FOLD_MAX_CHOICES, sizeof *f->choice);
    assert_non_null(f->choice);
}

void fold_stream(fold *f, pgd_sv bytes, unsigned flags) {
    start(f);
    size_t at = 0;
    while (at < bytes.n) {
        if (f->done) fail_msg("bytes after [DONE]");
        const size_t end = pgd_sv_find(bytes, PGD_SV("\n\n"), at);
        if (end == SIZE_MAX) fail_msg("the last event has no blank line");
        const pgd_sv event = {bytes.p + at, end - at};
        at = end + 2;
        if (pgd_sv_starts(event, PGD_SV(":"))) {
            f->n_comments++;
            continue;
        }
        if (!pgd_sv_starts(event, PGD_SV("data: ")) || event.n < 7)
            fail_msg("event is no data line: %.*s", (int)event.n, event.p);
        if (pgd_sv_find(event, PGD_SV("\n"), 0) != SIZE_MAX) fail_msg("newline in an event");
        const pgd_sv data = {event.p + 6, event.n - 6};
        if (pgd_sv_eq(data, PGD_SV("[DONE]"))) {
            f->done = true;
            continue;
        }
        pgd_json_doc *doc = test_json(data.p, data.n);
        chunk(f, pgd_json_root(doc), flags);
        pgd_json_free(&doc);
    }
    assert_true(f->done);
    if (f->error.n) return;
    for (size_t i = 0; i < f->n_choices; i++)
        if (!f->choice[i].finished) fail_msg("choice %zu has no finish_reason", i);
    if (flags & FOLD_USAGE) assert_true(f->usage.n > 0);
}

void fold_answer(fold *f, pgd_sv json) {
    start(f);
    pgd_json_doc *doc = test_json(json.p, json.n);
    const pgd_json *const v = pgd_json_root(doc);
    pgd_sv object;
    assert_true(pgd_json_as_str(test_at(v, "object"), &object));
    f->chat = pgd_sv_eq(object, PGD_SV("chat.completion"));
    set_json(&f->id, test_at(v, "id"));
    set_json(&f->model, test_at(v, "model"));
    set_json(&f->usage, test_at(v, "usage"));
    if (test_find(v, "prompt_token_ids")) set_json(&f->prompt_ids, test_at(v, "prompt_token_ids"));
    f->created = test_int(v, "created");
    int64_t i = 0;
    for (const pgd_json *c = pgd_json_first(test_at(v, "choices")); c; c = pgd_json_next(c), i++) {
        test_int_is(c, "index", i);
        fold_choice *const ch = choice_of(f, c);
        ch->seen = true;
        if (f->chat) test_str_is(c, "message.role", "assistant");
        const pgd_json *const text = test_at(c, f->chat ? "message.content" : "text");
        ch->null_content = f->chat && pgd_json_is_null(text);
        if (!ch->null_content) add_text(&ch->text, text);
        if (f->chat) {
            const pgd_json *const message = test_at(c, "message");
            const pgd_json *const calls = test_find(message, "tool_calls");
            if (calls) assert_true(pgd_json_count(calls) > 0);
            for (const pgd_json *k = pgd_json_first(calls); k; k = pgd_json_next(k))
                open_call(ch, k);
            add_reasoning(ch, message);
            if (ch->null_content) assert_true(ch->n_calls || ch->reasoning.n);
        }
        add_logprobs(f, ch, test_at(c, "logprobs"));
        add_finish(ch, c);
        assert_true(ch->finished);
        if (test_find(c, "token_ids")) append_items(&ch->ids, test_at(c, "token_ids"), NULL);
        if (test_find(c, "prompt_token_ids"))
            set_json(&ch->prompt_ids, test_at(c, "prompt_token_ids"));
    }
    pgd_json_free(&doc);
}

static void same(const pgd_buf *a, const pgd_buf *b, const char *what, size_t i) {
    if (!pgd_sv_eq(pgd_buf_sv(a), pgd_buf_sv(b)))
        fail_msg("%s of choice %zu differs:\n  %s\n  %s", what, i, a->p ? a->p : "",
                 b->p ? b->p : "");
}

void fold_assert_equal(const fold *a, const fold *b) {
    assert_int_equal(a->n_choices, b->n_choices);
    for (size_t i = 0; i < a->n_choices; i++) {
        const fold_choice *const x = &a->choice[i], *const y = &b->choice[i];
        same(&x->text, &y->text, "text", i);
        same(&x->reasoning, &y->reasoning, "reasoning", i);
        assert_int_equal(x->n_calls, y->n_calls);
        for (size_t k = 0; k < x->n_calls; k++) {
            same(&x->calls[k].name, &y->calls[k].name, "name of a call", i);
            same(&x->calls[k].args, &y->calls[k].args, "arguments of a call", i);
        }
        same(&x->finish, &y->finish, "finish_reason", i);
        same(&x->stop_reason, &y->stop_reason, "stop_reason", i);
        same(&x->ids, &y->ids, "token_ids", i);
        same(&x->prompt_ids, &y->prompt_ids, "prompt_token_ids", i);
        for (int k = 0; k < 4; k++)
            same(&x->logprobs[k], &y->logprobs[k], "logprobs", i);
    }
    same(&a->prompt_ids, &b->prompt_ids, "prompt_token_ids", 0);
    if (a->usage.n && b->usage.n) same(&a->usage, &b->usage, "usage", 0);
}

void fold_fini(fold *f) {
    for (size_t i = 0; f->choice && i < FOLD_MAX_CHOICES; i++) {
        fold_choice *const ch = &f->choice[i];
        for (size_t k = 0; k < ch->n_calls; k++) {
            pgd_buf_fini(&ch->calls[k].id);
            pgd_buf_fini(&ch->calls[k].name);
            pgd_buf_fini(&ch->calls[k].args);
        }
        pgd_buf_fini(&ch->reasoning);
        pgd_buf *const bufs[] = {&ch->text,        &ch->finish,      &ch->stop_reason,
                                 &ch->ids,         &ch->prompt_ids,  &ch->logprobs[0],
                                 &ch->logprobs[1], &ch->logprobs[2], &ch->logprobs[3]};
        for (size_t k = 0; k < sizeof bufs / sizeof bufs[0]; k++)
            pgd_buf_fini(bufs[k]);
    }
    pgd_free(f->choice);
    pgd_buf *const bufs[] = {&f->id, &f->model, &f->usage, &f->error, &f->prompt_ids};
    for (size_t k = 0; k < sizeof bufs / sizeof bufs[0]; k++)
        pgd_buf_fini(bufs[k]);
    f->choice = NULL;
}

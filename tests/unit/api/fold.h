/* A strict reader of our answers: streams are folded into what the plain answer would hold, and
 * every rule that breaks real clients is checked on the way (one JSON object a data line, blank
 * line after each event, role once per choice and in index order, of a tool call id, type and name
 * once and with empty arguments, indexes dense, reasoning under both its names, choices always
 * there, one finish per choice and nothing after it, usage last and only when asked, [DONE] at the
 * end). */
#ifndef TESTS_API_FOLD_H
#define TESTS_API_FOLD_H

#include <stdbool.h>

#include "pagoda/json.h"
#include "pagoda/str.h"

enum { FOLD_MAX_CHOICES = 1024, FOLD_MAX_CALLS = 8 };

/* id is kept only for looking at: it differs between answers. */
typedef struct fold_call {
    pgd_buf id, name, args;
} fold_call;

typedef struct fold_choice {
    bool seen, finished;
    pgd_buf text, reasoning, finish, stop_reason, ids, prompt_ids;
    pgd_buf logprobs[4]; /* chat: [0]; completions: tokens, values, tops, offsets */
    size_t n_logprobs;
    fold_call calls[FOLD_MAX_CALLS];
    size_t n_calls;
    bool null_content; /* plain answers: content was null */
} fold_choice;

typedef struct fold {
    bool chat, done;
    pgd_buf id, model, usage, error, prompt_ids;
    int64_t created;
    size_t n_choices, n_chunks, n_comments, n_content_chunks;
    fold_choice *choice; /* [FOLD_MAX_CHOICES] */
} fold;

enum { FOLD_USAGE = 1, FOLD_CONTINUOUS = 2 };

/* All bytes of a stream that ended. flags: what stream_options asked for. */
void fold_stream(fold *f, pgd_sv bytes, unsigned flags);
/* The JSON of a plain answer. */
void fold_answer(fold *f, pgd_sv json);
/* Same texts, ends, logprobs, token ids and usage (ids and times may differ). */
void fold_assert_equal(const fold *a, const fold *b);
void fold_fini(fold *f);

#endif

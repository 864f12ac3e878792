/* Reading tokenizer.json with messages that name the JSON path. Private to the tokenizer. */
#ifndef PGD_TEXT_TOK_JSON_H
#define PGD_TEXT_TOK_JSON_H

#include <stdbool.h>

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "pagoda/status.h"
#include "pagoda/str.h"
#include "tok_regex.h"

/* A place in the file, for messages: "pre_tokenizer.pretokenizers[1]". */
typedef struct pgd_tj_path {
    char s[200];
} pgd_tj_path;
pgd_tj_path pgd_tj_root(const char *name);
pgd_tj_path pgd_tj_item(const pgd_tj_path *parent, const char *key, size_t index);

/* The "type" of an object. Errors: PGD_E_FORMAT. Borrowed from the document. */
pgd_status pgd_tj_type(const pgd_json *obj, const pgd_tj_path *at, pgd_sv *out, pgd_error *err);
/* A string member, copied to the arena. Errors: PGD_E_FORMAT when absent or of another type. */
pgd_status pgd_tj_str(const pgd_json *obj, const pgd_tj_path *at, const char *key, pgd_arena *arena,
                      pgd_sv *out, pgd_error *err);
/* As pgd_tj_str, but absent and null give an empty view with p == NULL. */
pgd_status pgd_tj_opt_str(const pgd_json *obj, const pgd_tj_path *at, const char *key,
                          pgd_arena *arena, pgd_sv *out, pgd_error *err);
/* A boolean member, `fallback` when absent or null. Errors: PGD_E_FORMAT. */
pgd_status pgd_tj_bool(const pgd_json *obj, const pgd_tj_path *at, const char *key, bool fallback,
                       bool *out, pgd_error *err);
/* A non-negative integer member up to max; absent: fallback. Errors: PGD_E_FORMAT. */
pgd_status pgd_tj_uint(const pgd_json *obj, const pgd_tj_path *at, const char *key,
                       int64_t fallback, int64_t max, int64_t *out, pgd_error *err);
/* A string member of exactly one code point. */
pgd_status pgd_tj_char(const pgd_json *obj, const pgd_tj_path *at, const char *key, uint32_t *out,
                       pgd_error *err);
/* {"String": s} or {"Regex": s} under `key`: the text, copied to the arena. *re is NULL for a
 * string, which is to be searched as it stands; a regular expression, and the empty string, which
 * matches everywhere, come compiled. Errors: PGD_E_FORMAT, and those of pgd_tj_regex. */
pgd_status pgd_tj_pattern(const pgd_json *obj, const pgd_tj_path *at, const char *key,
                          pgd_arena *arena, pgd_sv *text, pgd_tok_regex **re, pgd_error *err);
/* Compile a pattern that lives as long as the arena; `at` and `key` name it in messages. Errors:
 * those of pgd_tok_regex_compile. */
pgd_status pgd_tj_regex(pgd_sv pattern, bool literal, const pgd_tj_path *at, const char *key,
                        pgd_arena *arena, pgd_tok_regex **out, pgd_error *err);
/* PGD_E_FORMAT "<path>.<key> is <got>, wanted <wanted>". */
pgd_status pgd_tj_wrong(const pgd_json *got, const pgd_tj_path *at, const char *key,
                        const char *wanted, pgd_error *err);
/* PGD_E_UNSUPPORTED for an unknown "type". */
pgd_status pgd_tj_unknown(pgd_sv type, const pgd_tj_path *at, const char *what, pgd_error *err);
/* What a parser does with one component of its kind; ctx is the parser's own. */
typedef pgd_status pgd_tj_visit(void *ctx, const pgd_json *node, const pgd_tj_path *at,
                                pgd_sv type);
/* Visit a component, or, of a Sequence, those of its member `list` in order; Sequences may stand in
 * each other. Errors: PGD_E_FORMAT, PGD_E_LIMIT when they are nested too deep, those of visit. */
pgd_status pgd_tj_each(const pgd_json *node, const pgd_tj_path *at, const char *list,
                       pgd_tj_visit *visit, void *ctx, pgd_error *err);
/* Copy to the arena. Errors: PGD_E_NOMEM. */
pgd_status pgd_tj_copy(pgd_arena *arena, pgd_sv s, pgd_sv *out);

#endif

/* structural_tag, as vLLM and SGLang take it: free text with constrained pieces in it.
 *
 *   {"structures": [{"begin", "schema", "end"}], "triggers": [...]}       the older form
 *   {"format": {"type": "triggered_tags" | "tag" | "sequence" | ...}}     a tree of formats
 *
 * Both become parts of a grammar. What ends free text decides its form: inside a tag, the tag's end
 * strings (their first occurrence), else the end of the output. Formats are therefore built
 * together with what follows them, and free text before anything else is refused: nothing would
 * say where it ends. Begin strings are text: they are spelled in ordinary tokens, also where they
 * read like a control token, since control tokens are not in the text that clients get.
 *
 * Members that would change what a format means and are not served are refused by name, unless
 * they have the value of their absence. Recursion is bounded by MAX_DEPTH. Thread: a worker. */
#include "structural.h"

enum { MAX_DEPTH = 16 };

static pgd_status read_format(st_reader *r, const pgd_json *v, st_follow after,
                              pgd_grammar_spec *out);

/* ---- building ---- */

static pgd_grammar_spec text_spec(pgd_sv text) {
    return (pgd_grammar_spec){.kind = PGD_GRAMMAR_TEXT, .text = text};
}

/* A part with room for n parts of its own, which the caller fills. */
static pgd_status make(st_reader *r, pgd_grammar_kind kind, size_t n, pgd_grammar_spec *out,
                       pgd_grammar_spec **parts) {
    *parts = pgd_arena_array(r->arena, n, sizeof **parts);
    *out = (pgd_grammar_spec){.kind = kind, .parts = *parts, .n_parts = n};
    return *parts ? PGD_OK : api_fail_nomem(r->e);
}

static pgd_status join2(st_reader *r, pgd_grammar_spec a, pgd_grammar_spec b,
                        pgd_grammar_spec *out) {
    pgd_grammar_spec *parts;
    PGD_TRY(make(r, PGD_GRAMMAR_SEQ, 2, out, &parts));
    parts[0] = a;
    parts[1] = b;
    return PGD_OK;
}

/* x and what follows it. */
static pgd_status and_then(st_reader *r, pgd_grammar_spec x, st_follow after,
                           pgd_grammar_spec *out) {
    const pgd_grammar_spec end = {
        .kind = PGD_GRAMMAR_CHOICE, .choices = after.end.v, .n_choices = after.end.n};
    *out = x;
    return after.end.n ? join2(r, x, end, out) : PGD_OK;
}

/* The strings of all lists, in a row. */
static pgd_status concat(st_reader *r, const st_texts *lists, size_t n, st_texts *out) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += lists[i].n;
    *out = (st_texts){.v = pgd_arena_array(r->arena, total + 1, sizeof *out->v)};
    if (!out->v) return api_fail_nomem(r->e);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < lists[i].n; k++)
            out->v[out->n++] = lists[i].v[k];
    return PGD_OK;
}

/* Free text up to and with the first occurrence of `end`, before any of `marks`, `end` aside. */
static pgd_status until(st_reader *r, pgd_sv end, const st_texts *marks, pgd_grammar_spec *out) {
    pgd_sv *const v = pgd_arena_array(r->arena, marks->n + 1, sizeof *v);
    size_t n = 0;
    if (!v) return api_fail_nomem(r->e);
    for (size_t i = 0; i < marks->n; i++)
        if (!pgd_sv_eq(marks->v[i], end)) v[n++] = marks->v[i];
    *out = (pgd_grammar_spec){.kind = PGD_GRAMMAR_UNTIL, .text = end, .choices = v, .n_choices = n};
    return PGD_OK;
}

/* Free text without any of `marks` (which hold the end strings), and what follows. */
static pgd_status free_tail(st_reader *r, const st_texts *marks, st_follow after,
                            pgd_grammar_spec *out) {
    pgd_grammar_spec *parts;
    if (!after.end.n) {
        *out = (pgd_grammar_spec){
            .kind = PGD_GRAMMAR_FREE, .choices = marks->v, .n_choices = marks->n};
        return PGD_OK;
    }
    PGD_TRY(make(r, PGD_GRAMMAR_ALT, after.end.n, out, &parts));
    for (size_t i = 0; i < after.end.n; i++)
        PGD_TRY(until(r, after.end.v[i], marks, &parts[i]));
    return PGD_OK;
}

/* What ends free text must be able to: a mark that holds another would never be reached.
 * `lists[0..n_ending)` end the text, the others are merely excluded; to exclude what ends it anyway
 * says nothing. */
static pgd_status check_marks(st_reader *r, const st_texts *lists, size_t n_ending, size_t n,
                              st_follow after) {
    if (!after.end.n && !after.open)
        return api_st_fail(r, "free text may stand only at the end of the output or of a tag with "
                              "an end string");
    char held[API_QUOTE_BYTES], mark[API_QUOTE_BYTES];
    if (api_st_among(&after.end, (pgd_sv){"", 0}))
        return api_st_fail(r, "free text must not be followed by an empty end string");
    for (size_t i = 0; i < n_ending; i++)
        for (size_t k = 0; k < lists[i].n; k++)
            for (size_t j = 0; j < n; j++)
                for (size_t m = 0; m < lists[j].n; m++) {
                    const pgd_sv x = lists[i].v[k], y = lists[j].v[m];
                    const bool same = (i == j && k == m) || (j >= n_ending && pgd_sv_eq(x, y));
                    if (!same && pgd_sv_find(x, y, 0) < x.n)
                        return api_st_fail(r, "'%s' cannot end free text, as it holds '%s'",
                                           api_quote(mark, x), api_quote(held, y));
                }
    return PGD_OK;
}

/* ---- formats ---- */

static pgd_status const_string(st_reader *r, const pgd_json *v, st_follow after,
                               pgd_grammar_spec *out) {
    pgd_sv s = {NULL, 0};
    PGD_TRY(api_st_text(r, v, "value", &s));
    return and_then(r, text_spec(s), after, out);
}

static pgd_status schema_spec(st_reader *r, const pgd_json *o, const char *key,
                              pgd_grammar_spec *out) {
    const size_t was = r->path_n;
    const pgd_json *schema;
    *out = (pgd_grammar_spec){.kind = PGD_GRAMMAR_JSON_SCHEMA, .space = r->space};
    PGD_TRY(api_st_enter_member(r, o, key, PGD_JSON_NULL, NULL, &schema));
    PGD_TRY(api_schema_text(r->arena, r->path, schema, &out->text, r->e));
    PGD_TRY(api_st_name(r, out));
    api_st_leave(r, was);
    return PGD_OK;
}

static pgd_status json_schema(st_reader *r, const pgd_json *v, st_follow after,
                              pgd_grammar_spec *out) {
    pgd_grammar_spec x;
    pgd_sv style = PGD_SV("json");
    if (!pgd_json_is_null(pgd_json_get(v, "style"))) PGD_TRY(api_st_text(r, v, "style", &style));
    if (!pgd_sv_eq(style, PGD_SV("json"))) {
        char quoted[API_QUOTE_BYTES];
        (void)api_st_enter(r, ".style");
        return api_fail(r->e, PGD_E_UNSUPPORTED, "unsupported_value", r->path,
                        "Unsupported value: '%s' is '%s'; only 'json' is supported.", r->path,
                        api_quote(quoted, style));
    }
    PGD_TRY(schema_spec(r, v, "json_schema", &x));
    return and_then(r, x, after, out);
}

static pgd_status source(st_reader *r, const pgd_json *v, const char *key, pgd_grammar_kind kind,
                         st_follow after, pgd_grammar_spec *out) {
    pgd_grammar_spec x = {.kind = kind};
    PGD_TRY(api_st_text(r, v, key, &x.text));
    const size_t was = api_st_enter(r, ".%s", key);
    PGD_TRY(api_st_name(r, &x));
    api_st_leave(r, was);
    return and_then(r, x, after, out);
}

static pgd_status regex(st_reader *r, const pgd_json *v, st_follow after, pgd_grammar_spec *out) {
    return source(r, v, "pattern", PGD_GRAMMAR_REGEX, after, out);
}

static pgd_status grammar(st_reader *r, const pgd_json *v, st_follow after, pgd_grammar_spec *out) {
    return source(r, v, "grammar", PGD_GRAMMAR_EBNF, after, out);
}

static pgd_status any_text(st_reader *r, const pgd_json *v, st_follow after,
                           pgd_grammar_spec *out) {
    st_texts lists[2] = {after.end, {0}}, marks;
    PGD_TRY(api_st_excludes(r, v, &lists[1]));
    PGD_TRY(check_marks(r, lists, 1, 2, after));
    PGD_TRY(concat(r, lists, 2, &marks));
    return free_tail(r, &marks, after, out);
}

/* The formats of `elements`: one after the other (SEQ), of which the last has `after` behind it, or
 * one of them (ALT), each with `after` behind it. */
static pgd_status elements(st_reader *r, const pgd_json *v, pgd_grammar_kind kind, st_follow after,
                           pgd_grammar_spec *out) {
    const size_t was = r->path_n;
    const pgd_json *list;
    pgd_grammar_spec *parts;
    size_t i = 0;
    PGD_TRY(api_st_enter_list(r, v, "elements", &list));
    PGD_TRY(make(r, kind, pgd_json_count(list), out, &parts));
    for (const pgd_json *x = pgd_json_first(list); x; x = pgd_json_next(x), i++) {
        const size_t here = api_st_enter(r, "[%zu]", i);
        const bool last = kind == PGD_GRAMMAR_ALT || !pgd_json_next(x);
        PGD_TRY(read_format(r, x, last ? after : (st_follow){0}, &parts[i]));
        api_st_leave(r, here);
    }
    api_st_leave(r, was);
    return PGD_OK;
}

static pgd_status sequence(st_reader *r, const pgd_json *v, st_follow after,
                           pgd_grammar_spec *out) {
    return elements(r, v, PGD_GRAMMAR_SEQ, after, out);
}

static pgd_status either(st_reader *r, const pgd_json *v, st_follow after, pgd_grammar_spec *out) {
    return elements(r, v, PGD_GRAMMAR_ALT, after, out);
}

/* ---- tags ---- */

/* `end`: a string or a list of them. Nothing, where it is empty: then what follows the tag ends
 * its content too. */
static pgd_status read_end(st_reader *r, const pgd_json *v, st_follow after, st_follow *out) {
    const size_t was = r->path_n;
    const pgd_json *end;
    st_texts t = {0};
    PGD_TRY(api_st_enter_member(r, v, "end", PGD_JSON_NULL, NULL, &end));
    if (pgd_json_typeof(end) == PGD_JSON_STRING) {
        t = (st_texts){.v = pgd_arena_array(r->arena, 1, sizeof *t.v), .n = 1};
        if (!t.v) return api_fail_nomem(r->e);
        (void)pgd_json_as_str(end, &t.v[0]);
    } else {
        if (pgd_json_typeof(end) != PGD_JSON_ARRAY)
            return api_fail_type(r->e, r->path, "a string", end);
        api_st_leave(r, was);
        PGD_TRY(api_st_enter_list(r, v, "end", &end));
        PGD_TRY(api_st_texts(r, end, true, &t));
    }
    api_st_leave(r, was);
    *out = t.n == 1 && !t.v[0].n ? after : (st_follow){.end = t};
    return PGD_OK;
}

/* A tag without the first `skip` bytes of its begin string, and what follows. `old`: of the older
 * form, whose content is a schema. */
static pgd_status tag_from(st_reader *r, const pgd_json *v, size_t skip, bool old, st_follow after,
                           pgd_grammar_spec *out) {
    pgd_sv begin = {NULL, 0};
    pgd_grammar_spec content;
    st_follow end;
    PGD_TRY(api_st_text(r, v, "begin", &begin));
    PGD_TRY(read_end(r, v, after, &end));
    if (old) {
        pgd_grammar_spec x;
        PGD_TRY(schema_spec(r, v, "schema", &x));
        PGD_TRY(and_then(r, x, end, &content));
    } else {
        const size_t was = r->path_n;
        const pgd_json *c;
        PGD_TRY(api_st_enter_member(r, v, "content", PGD_JSON_OBJECT, "an object", &c));
        PGD_TRY(read_format(r, c, end, &content));
        api_st_leave(r, was);
    }
    const pgd_sv rest = {begin.p + skip, begin.n - skip};
    PGD_TRY(join2(r, text_spec(rest), content, out));
    const bool own_end = end.end.v != after.end.v;
    return own_end ? and_then(r, *out, after, out) : PGD_OK;
}

static pgd_status tag(st_reader *r, const pgd_json *v, st_follow after, pgd_grammar_spec *out) {
    return tag_from(r, v, 0, false, after, out);
}

static pgd_status check_tag(st_reader *r, const pgd_json *v, bool old) {
    static const char *const of_old[] = {"begin", "schema", "end", NULL};
    static const char *const of_new[] = {"type", "begin", "content", "end", NULL};
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return api_fail_type(r->e, r->path, "an object", v);
    PGD_TRY(api_st_check_members(r, v, old ? of_old : of_new));
    if (old || pgd_json_is_null(pgd_json_get(v, "type")) || api_st_is_type(v, PGD_SV("tag")))
        return PGD_OK;
    (void)api_st_enter(r, ".type");
    return api_st_fail(r, "only tags may stand in this list");
}

/* A list of tags. With triggers: each tag without the trigger that it begins with. */
typedef struct tag_list {
    bool old;
    st_texts triggers;
    st_follow after; /* of each tag */
    pgd_grammar_spec *spec;
    size_t *trigger; /* [n], index of its trigger; 0 where there are none */
    size_t n;
} tag_list;

static pgd_status read_trigger(st_reader *r, const pgd_json *v, const st_texts *triggers,
                               size_t *out, size_t *skip) {
    pgd_sv begin = {NULL, 0};
    *out = *skip = 0;
    if (!triggers->n) return PGD_OK;
    PGD_TRY(api_st_text(r, v, "begin", &begin));
    for (; *out < triggers->n; ++*out) {
        *skip = triggers->v[*out].n;
        if (pgd_sv_starts(begin, triggers->v[*out])) return PGD_OK;
    }
    (void)api_st_enter(r, ".begin");
    return api_st_fail(r, "begins with none of the triggers");
}

static pgd_status read_tags(st_reader *r, const pgd_json *o, const char *key, tag_list *t) {
    const size_t was = r->path_n;
    const pgd_json *list;
    PGD_TRY(api_st_enter_list(r, o, key, &list));
    const size_t n = pgd_json_count(list);
    t->spec = pgd_arena_array(r->arena, n, sizeof *t->spec);
    t->trigger = pgd_arena_array(r->arena, n, sizeof *t->trigger);
    if (!t->spec || !t->trigger) return api_fail_nomem(r->e);
    for (const pgd_json *v = pgd_json_first(list); v; v = pgd_json_next(v), t->n++) {
        const size_t here = api_st_enter(r, "[%zu]", t->n);
        size_t skip = 0;
        PGD_TRY(check_tag(r, v, t->old));
        PGD_TRY(read_trigger(r, v, &t->triggers, &t->trigger[t->n], &skip));
        PGD_TRY(tag_from(r, v, skip, t->old, t->after, &t->spec[t->n]));
        api_st_leave(r, here);
    }
    api_st_leave(r, was);
    return PGD_OK;
}

/* One of the tags that trigger `k` begins, without it; the path is at the triggers. */
static pgd_status tags_of(st_reader *r, const tag_list *t, size_t k, pgd_grammar_spec *out) {
    pgd_grammar_spec *parts;
    char quoted[API_QUOTE_BYTES];
    size_t n = 0;
    PGD_TRY(make(r, PGD_GRAMMAR_ALT, t->n, out, &parts));
    for (size_t i = 0; i < t->n; i++)
        if (t->trigger[i] == k) parts[n++] = t->spec[i];
    out->n_parts = n;
    return n ? PGD_OK
             : api_st_fail(r, "no tag begins with '%s'", api_quote(quoted, t->triggers.v[k]));
}

/* The first tag (behind no text: `*first`), and one behind text that ends with its trigger
 * (`*later`). */
static pgd_status dispatch(st_reader *r, const tag_list *t, const st_texts *marks,
                           pgd_grammar_spec *first, pgd_grammar_spec *later) {
    pgd_grammar_spec *now, *then;
    PGD_TRY(make(r, PGD_GRAMMAR_ALT, t->triggers.n, first, &now));
    PGD_TRY(make(r, PGD_GRAMMAR_ALT, t->triggers.n, later, &then));
    const size_t was = api_st_enter(r, ".triggers");
    for (size_t k = 0; k < t->triggers.n; k++) {
        pgd_grammar_spec tags, text;
        PGD_TRY(tags_of(r, t, k, &tags));
        PGD_TRY(until(r, t->triggers.v[k], marks, &text));
        PGD_TRY(join2(r, text_spec(t->triggers.v[k]), tags, &now[k]));
        PGD_TRY(join2(r, text, tags, &then[k]));
    }
    api_st_leave(r, was);
    return PGD_OK;
}

/*   at_least_one    stop_after_first
 *        no               no            (text tag)* text
 *        no               yes           text | text tag
 *        yes              no            tag (text tag)* text
 *        yes              yes           tag
 * each up to what follows; the last text of a row is what `after` ends. */
static pgd_status arrange(st_reader *r, bool at_least_one, bool once, pgd_grammar_spec first,
                          pgd_grammar_spec later, pgd_grammar_spec tail, st_follow after,
                          pgd_grammar_spec *out) {
    pgd_grammar_spec *parts, any;
    if (at_least_one && once) return and_then(r, first, after, out);
    if (once) {
        PGD_TRY(make(r, PGD_GRAMMAR_ALT, 2, out, &parts));
        parts[0] = tail;
        return and_then(r, later, after, &parts[1]);
    }
    PGD_TRY(make(r, PGD_GRAMMAR_REPEAT, 1, &any, &parts)); /* any number of times */
    parts[0] = later;
    PGD_TRY(join2(r, any, tail, out));
    return at_least_one ? join2(r, first, *out, out) : PGD_OK;
}

static pgd_status triggered(st_reader *r, const pgd_json *v, const char *tags, bool old,
                            st_follow after, pgd_grammar_spec *out) {
    tag_list t = {.old = old};
    st_texts lists[3] = {{0}, after.end, {0}}, marks;
    const size_t was = r->path_n;
    const pgd_json *list;
    bool at_least_one, once;
    pgd_grammar_spec first, later, tail = {0};
    PGD_TRY(api_st_enter_list(r, v, "triggers", &list));
    PGD_TRY(api_st_texts(r, list, false, &t.triggers));
    api_st_leave(r, was);
    lists[0] = t.triggers;
    PGD_TRY(api_st_flag(r, v, "at_least_one", &at_least_one));
    PGD_TRY(api_st_flag(r, v, "stop_after_first", &once));
    PGD_TRY(api_st_excludes(r, v, &lists[2]));
    const bool text_last = !(at_least_one && once);
    if (!text_last) lists[1] = (st_texts){0}; /* nothing is free */
    PGD_TRY(check_marks(r, lists, 2, 3, text_last ? after : (st_follow){.open = true}));
    PGD_TRY(concat(r, lists, 3, &marks));
    PGD_TRY(read_tags(r, v, tags, &t));
    PGD_TRY(dispatch(r, &t, &marks, &first, &later));
    if (text_last) PGD_TRY(free_tail(r, &marks, after, &tail));
    return arrange(r, at_least_one, once, first, later, tail, after, out);
}

static pgd_status triggered_tags(st_reader *r, const pgd_json *v, st_follow after,
                                 pgd_grammar_spec *out) {
    return triggered(r, v, "tags", false, after, out);
}

static pgd_status separated_tags(st_reader *r, const pgd_json *v, st_follow after,
                                 pgd_grammar_spec *out) {
    tag_list t = {0};
    pgd_sv separator = {NULL, 0};
    bool at_least_one, once;
    pgd_grammar_spec *parts, all, list;
    PGD_TRY(api_st_text(r, v, "separator", &separator));
    PGD_TRY(api_st_flag(r, v, "at_least_one", &at_least_one));
    PGD_TRY(api_st_flag(r, v, "stop_after_first", &once));
    PGD_TRY(read_tags(r, v, "tags", &t));
    all = (pgd_grammar_spec){.kind = PGD_GRAMMAR_ALT, .parts = t.spec, .n_parts = t.n};
    PGD_TRY(make(r, PGD_GRAMMAR_REPEAT, 2, &list, &parts));
    parts[0] = all;
    parts[1] = text_spec(separator);
    list.min = at_least_one;
    list.max = once;
    return and_then(r, list, after, out);
}

/* ---- all of them ---- */

typedef struct format {
    const char *type;
    pgd_status (*read)(st_reader *r, const pgd_json *v, st_follow after, pgd_grammar_spec *out);
    const char *members[7]; /* NULL-terminated */
} format;

/* clang-format off */
static const format formats[] = {
    {"const_string", const_string, {"type", "value"}},
    {"json_schema", json_schema, {"type", "json_schema", "style"}},
    {"regex", regex, {"type", "pattern"}},
    {"grammar", grammar, {"type", "grammar"}},
    {"any_text", any_text, {"type", "excludes"}},
    {"sequence", sequence, {"type", "elements"}},
    {"or", either, {"type", "elements"}},
    {"tag", tag, {"type", "begin", "content", "end"}},
    {"triggered_tags", triggered_tags,
     {"type", "triggers", "tags", "at_least_one", "stop_after_first", "excludes"}},
    {"tags_with_separator", separated_tags,
     {"type", "tags", "separator", "at_least_one", "stop_after_first"}},
};
/* clang-format on */

static pgd_status read_format(st_reader *r, const pgd_json *v, st_follow after,
                              pgd_grammar_spec *out) {
    pgd_sv type = {NULL, 0};
    char quoted[API_QUOTE_BYTES];
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return api_fail_type(r->e, r->path, "an object", v);
    if (r->depth == MAX_DEPTH) return api_st_fail(r, "is nested more than %d deep", (int)MAX_DEPTH);
    PGD_TRY(api_st_text(r, v, "type", &type));
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!pgd_sv_eq(type, pgd_sv_c(formats[i].type))) continue;
        PGD_TRY(api_st_check_members(r, v, formats[i].members));
        r->depth++;
        PGD_TRY(formats[i].read(r, v, after, out));
        r->depth--;
        return PGD_OK;
    }
    (void)api_st_enter(r, ".type");
    return api_fail(r->e, PGD_E_UNSUPPORTED, "unsupported_value", r->path,
                    "Unsupported value: '%s' is '%s', which is not supported by this server.",
                    r->path, api_quote(quoted, type));
}

static pgd_status read_either_form(st_reader *r, const pgd_json *v, pgd_grammar_spec *out) {
    static const char *const of_old[] = {"type", "structures", "triggers", NULL};
    static const char *const of_new[] = {"type", "format", NULL};
    const bool old = !pgd_json_is_null(pgd_json_get(v, "structures"));
    const st_follow nothing = {.open = true};
    const pgd_json *f;
    PGD_TRY(api_st_check_members(r, v, old ? of_old : of_new));
    if (old) return triggered(r, v, "structures", true, nothing, out);
    const size_t was = r->path_n;
    PGD_TRY(api_st_enter_member(r, v, "format", PGD_JSON_OBJECT, "an object", &f));
    PGD_TRY(read_format(r, f, nothing, out));
    api_st_leave(r, was);
    return PGD_OK;
}

pgd_status api_read_structural_tag(pgd_arena *a, const char *param, const pgd_json *v,
                                   pgd_json_space space, pgd_grammar_spec *out, api_error *e) {
    st_reader r = {.arena = a, .e = e, .space = space};
    pgd_grammar_spec *parts;
    (void)api_st_enter(&r, "%s", param);
    r.base_n = r.path_n;
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return api_fail_type(e, r.path, "an object", v);
    if (!pgd_json_is_null(pgd_json_get(v, "type")) &&
        !api_st_is_type(v, PGD_SV("structural_tag"))) {
        (void)api_st_enter(&r, ".type");
        return api_st_fail(&r, "expected 'structural_tag'");
    }
    /* a part of its own, so that the names of parts stay in front of messages */
    PGD_TRY(make(&r, PGD_GRAMMAR_SEQ, 1, out, &parts));
    return read_either_form(&r, v, &parts[0]);
}

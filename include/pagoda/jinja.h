/* A sandboxed Jinja engine: the template language of Hugging Face chat templates, rendering as
 * jinja2's ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, loop controls and the
 * generation tag, configured as `transformers` does. Data in, text out: no attributes of host
 * objects, no files, no imports; steps, output bytes and recursion are bounded. A compiled template
 * is immutable and shared read-only.
 *
 * Every string knows which of its bytes came from untrusted data. Bytes of template literals and of
 * context strings marked trusted are "control" text; the renderer returns their spans, so that the
 * tokenizer can refuse to see control tokens in what users wrote. */
#ifndef PAGODA_JINJA_H
#define PAGODA_JINJA_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "pagoda/status.h"
#include "pagoda/str.h"
#include "pagoda/tokenizer.h"

typedef struct pgd_jinja pgd_jinja;             /* compiled template, owned */
typedef struct pgd_jinja_value pgd_jinja_value; /* lives in an arena */

/* Compile source (copied). Errors: PGD_E_FORMAT with line and reason. */
pgd_status pgd_jinja_compile(pgd_sv source, pgd_jinja **out, pgd_error *err);
void pgd_jinja_destroy(pgd_jinja **t);

/* Building a context. All return NULL when the arena is exhausted. Strings are copied. */
pgd_jinja_value *pgd_jinja_null(pgd_arena *a);
pgd_jinja_value *pgd_jinja_bool(pgd_arena *a, bool v);
pgd_jinja_value *pgd_jinja_int(pgd_arena *a, int64_t v);
pgd_jinja_value *pgd_jinja_float(pgd_arena *a, double v);
pgd_jinja_value *pgd_jinja_str(pgd_arena *a, pgd_sv s, bool trusted);
pgd_jinja_value *pgd_jinja_list(pgd_arena *a);
pgd_jinja_value *pgd_jinja_dict(pgd_arena *a);
bool pgd_jinja_push(pgd_arena *a, pgd_jinja_value *list, pgd_jinja_value *v);
/* The key is a name of the caller's own: trusted text. For keys that came from data use the second.
 */
bool pgd_jinja_set(pgd_arena *a, pgd_jinja_value *dict, pgd_sv key, pgd_jinja_value *v);
bool pgd_jinja_set_untrusted(pgd_arena *a, pgd_jinja_value *dict, pgd_sv key, pgd_jinja_value *v);
/* A parsed JSON value, all its strings untrusted. */
pgd_jinja_value *pgd_jinja_from_json(pgd_arena *a, const pgd_json *v);

typedef struct pgd_jinja_limits {
    uint64_t max_steps;      /* evaluated nodes */
    size_t max_output_bytes; /* of the render */
    size_t max_memory_bytes; /* of all values made */
    uint32_t max_depth;      /* nesting of calls, macros and expressions */
    int64_t now_unix;        /* what strftime_now formats, as UTC; 0: the present */
} pgd_jinja_limits;
extern const pgd_jinja_limits pgd_jinja_limits_default;

typedef struct pgd_rendered {
    pgd_buf text;      /* owned */
    pgd_span *control; /* owned; ascending disjoint spans of trusted text */
    size_t n_control, cap_control;
} pgd_rendered;
void pgd_rendered_fini(pgd_rendered *r);

/* Render with the members of context (a dict) as variables. Errors: PGD_E_INVALID when the
 * template calls raise_exception (the message is the template's) or meets a value it cannot use,
 * with line and reason; PGD_E_LIMIT; PGD_E_NOMEM. */
pgd_status pgd_jinja_render(const pgd_jinja *t, const pgd_jinja_value *context,
                            const pgd_jinja_limits *lim, pgd_rendered *out, pgd_error *err);

#endif

/* What the readers of demands (demand.c, structural_tag.c) share. */
#ifndef PAGODA_API_DEMAND_H
#define PAGODA_API_DEMAND_H

#include "constrain.h"

/* A schema (an object, a boolean, or a string that holds one) as text; copied to the arena where it
 * is not text already. Errors: PGD_E_INVALID, about `param`. */
pgd_status api_schema_text(pgd_arena *a, const char *param, const pgd_json *v, pgd_sv *out,
                           api_error *e);

/* The value of a structural_tag field, at path `param`, as a specification. v, and what *out
 * borrows from it, must live as long as the specification. Errors: PGD_E_INVALID, and
 * PGD_E_UNSUPPORTED for formats and options that are not served, both with the path. */
pgd_status api_read_structural_tag(pgd_arena *a, const char *param, const pgd_json *v,
                                   pgd_json_space space, pgd_grammar_spec *out, api_error *e);

#endif

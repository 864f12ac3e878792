/* Typed, range-checked reads of members of a JSON object of a model folder. */
#ifndef PAGODA_MODEL_FIELDS_H
#define PAGODA_MODEL_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/json.h"
#include "pagoda/status.h"

/* Where a member is read from; both names appear in every message. */
typedef struct fields {
    const char *file;   /* "config.json" */
    const char *prefix; /* "" or "rope_scaling." */
    const pgd_json *obj;
} fields;

/* Absent and null members leave *inout as it is. Errors: PGD_E_FORMAT naming file, field, what it
 * holds and what was expected. */
pgd_status field_u32(const fields *f, const char *key, uint32_t lo, uint32_t hi, uint32_t *inout,
                     pgd_error *err);
pgd_status field_f64(const fields *f, const char *key, double lo, double hi, double *inout,
                     pgd_error *err);
pgd_status field_bool(const fields *f, const char *key, bool *inout, pgd_error *err);
pgd_status field_str(const fields *f, const char *key, pgd_sv *inout, pgd_error *err);
/* As field_u32, and absent or null is an error. */
pgd_status field_u32_required(const fields *f, const char *key, uint32_t lo, uint32_t hi,
                              uint32_t *out, pgd_error *err);
bool field_present(const fields *f, const char *key); /* there and not null */

/* "17", "\"silu\"", "an array": what a node holds, cut to a readable length. */
enum { FIELD_TEXT_BYTES = 64 };
const char *field_text(const pgd_json *v, char out[FIELD_TEXT_BYTES]);
/* PGD_E_FORMAT or PGD_E_UNSUPPORTED with the usual sentence. */
pgd_status field_refuse(const fields *f, const char *key, pgd_status code, const char *expected,
                        pgd_error *err);

#endif

/* Typed reads of JSON members.
 *
 * One place that words the refusal of a configuration value: file, field, what it holds, what was
 * expected. A member that is null counts as absent, since that is how transformers writes "the
 * default". Integral numbers written as 4.0 are accepted: some writers emit them. Knows nothing
 * about models. Thread: any. */
#include "fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *field_text(const pgd_json *v, char out[FIELD_TEXT_BYTES]) {
    pgd_sv s;
    int64_t i;
    double d;
    bool b;
    if (!v) {
        (void)snprintf(out, FIELD_TEXT_BYTES, "nothing");
    } else if (pgd_json_as_str(v, &s)) {
        const int shown = s.n > 40 ? 40 : (int)s.n;
        (void)snprintf(out, FIELD_TEXT_BYTES, "\"%.*s\"%s", shown, s.p, s.n > 40 ? "..." : "");
    } else if (pgd_json_as_bool(v, &b)) {
        (void)snprintf(out, FIELD_TEXT_BYTES, "%s", b ? "true" : "false");
    } else if (pgd_json_as_i64(v, &i)) {
        (void)snprintf(out, FIELD_TEXT_BYTES, "%" PRId64, i);
    } else if (pgd_json_as_f64(v, &d)) {
        (void)snprintf(out, FIELD_TEXT_BYTES, "%g", d);
    } else {
        (void)snprintf(out, FIELD_TEXT_BYTES, "%s", pgd_json_type_name(v));
    }
    return out;
}

pgd_status field_refuse(const fields *f, const char *key, pgd_status code, const char *expected,
                        pgd_error *err) {
    char text[FIELD_TEXT_BYTES];
    return pgd_fail(err, code, "%s: field '%s%s' is %s, expected %s", f->file, f->prefix, key,
                    field_text(pgd_json_get(f->obj, key), text), expected);
}

bool field_present(const fields *f, const char *key) {
    return !pgd_json_is_null(pgd_json_get(f->obj, key));
}

pgd_status field_u32(const fields *f, const char *key, uint32_t lo, uint32_t hi, uint32_t *inout,
                     pgd_error *err) {
    if (!field_present(f, key)) return PGD_OK;
    int64_t v;
    if (pgd_json_as_i64(pgd_json_get(f->obj, key), &v) && v >= (int64_t)lo && v <= (int64_t)hi) {
        *inout = (uint32_t)v;
        return PGD_OK;
    }
    char expected[80];
    (void)snprintf(expected, sizeof expected, "an integer from %" PRIu32 " to %" PRIu32, lo, hi);
    return field_refuse(f, key, PGD_E_FORMAT, expected, err);
}

pgd_status field_u32_required(const fields *f, const char *key, uint32_t lo, uint32_t hi,
                              uint32_t *out, pgd_error *err) {
    if (!field_present(f, key))
        return pgd_fail(err, PGD_E_FORMAT, "%s: field '%s%s' is missing, expected an integer",
                        f->file, f->prefix, key);
    return field_u32(f, key, lo, hi, out, err);
}

pgd_status field_f64(const fields *f, const char *key, double lo, double hi, double *inout,
                     pgd_error *err) {
    if (!field_present(f, key)) return PGD_OK;
    double v;
    if (pgd_json_as_f64(pgd_json_get(f->obj, key), &v) && isfinite(v) && v >= lo && v <= hi) {
        *inout = v;
        return PGD_OK;
    }
    char expected[80];
    (void)snprintf(expected, sizeof expected, "a number from %g to %g", lo, hi);
    return field_refuse(f, key, PGD_E_FORMAT, expected, err);
}

pgd_status field_bool(const fields *f, const char *key, bool *inout, pgd_error *err) {
    if (!field_present(f, key)) return PGD_OK;
    if (pgd_json_as_bool(pgd_json_get(f->obj, key), inout)) return PGD_OK;
    return field_refuse(f, key, PGD_E_FORMAT, "true or false", err);
}

pgd_status field_str(const fields *f, const char *key, pgd_sv *inout, pgd_error *err) {
    if (!field_present(f, key)) return PGD_OK;
    if (pgd_json_as_str(pgd_json_get(f->obj, key), inout)) return PGD_OK;
    return field_refuse(f, key, PGD_E_FORMAT, "a string", err);
}

/* GET /v1/models and /v1/models/{id}: each served name is a model of its own, all with the same
 * root. A name that ends in * stands for all that begin so, and is not listed: agents ask for
 * models of many names. One object holds the union of what OpenAI's and Anthropic's clients read,
 * and the context length under the names that Open WebUI, LiteLLM and OpenRouter-like tools look
 * for. */
#include <stdio.h>

#include "call.h"
#include "pagoda/jsonw.h"

/* RFC 3339 in UTC, by Hinnant's civil-from-days: no C library call of C17 is thread-safe here. */
static void format_time(uint64_t unix_s, char out[32]) {
    const uint64_t days = unix_s / 86400 + 719468, sec = unix_s % 86400;
    const uint64_t era = days / 146097, doe = days % 146097;
    const uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    const unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    const unsigned year = (unsigned)((yoe + era * 400 + (month <= 2)) % 10000);
    (void)snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02uZ", year, month,
                   (unsigned)(doy - (153 * mp + 2) / 5 + 1), (unsigned)(sec / 3600),
                   (unsigned)(sec / 60 % 60), (unsigned)(sec % 60));
}

static bool is_pattern(pgd_sv served) {
    return pgd_sv_ends(served, PGD_SV("*"));
}

static bool is_served(const pgd_api_model *m, pgd_sv name) {
    for (uint32_t i = 0; i < m->n_names; i++) {
        pgd_sv served = pgd_sv_c(m->names[i]);
        if (pgd_sv_eq(served, name)) return true;
        if (!is_pattern(served)) continue;
        served.n--;
        if (pgd_sv_starts(name, served)) return true;
    }
    return false;
}

static void write_model(const pgd_api_model *m, pgd_sv name, pgd_jsonw *w) {
    char at[32];
    format_time(m->created, at);
    const struct {
        const char *key;
        pgd_sv value;
    } text[] = {{"id", name},
                {"object", PGD_SV("model")},
                {"owned_by", PGD_SV("pagoda")},
                {"root", pgd_sv_c(m->names[0])},
                {"parent", {NULL, 0}},
                {"name", name},
                {"type", PGD_SV("model")},
                {"display_name", name},
                {"created_at", pgd_sv_c(at)}};
    static const char *const lengths[] = {"max_model_len", "context_length", "max_input_tokens",
                                          "max_tokens"};
    pgd_jsonw_obj(w);
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        pgd_jsonw_key(w, text[i].key);
        if (text[i].value.p)
            pgd_jsonw_str(w, text[i].value);
        else
            pgd_jsonw_null(w);
    }
    pgd_jsonw_key(w, "created");
    pgd_jsonw_u64(w, m->created);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        pgd_jsonw_key(w, lengths[i]);
        pgd_jsonw_u64(w, m->max_model_len);
    }
    pgd_jsonw_end_obj(w);
}

void api_models_write(const pgd_api_model *m, pgd_buf *out) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "object");
    pgd_jsonw_cstr(&w, "list");
    pgd_jsonw_key(&w, "data");
    pgd_jsonw_arr(&w);
    uint32_t last = 0;
    for (uint32_t i = 0; i < m->n_names; i++) {
        if (is_pattern(pgd_sv_c(m->names[i]))) continue;
        write_model(m, pgd_sv_c(m->names[i]), &w);
        last = i;
    }
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_key(&w, "has_more");
    pgd_jsonw_bool(&w, false);
    pgd_jsonw_key(&w, "first_id");
    pgd_jsonw_cstr(&w, m->names[0]);
    pgd_jsonw_key(&w, "last_id");
    pgd_jsonw_cstr(&w, m->names[last]);
    pgd_jsonw_end_obj(&w);
}

pgd_status api_pick_model(const pgd_api_model *m, pgd_sv name, api_error *e) {
    if (is_served(m, name)) return PGD_OK;
    char quoted[API_QUOTE_BYTES];
    return api_fail(e, PGD_E_NOT_FOUND, "model_not_found", "model",
                    "The model '%s' does not exist or you do not have access to it.",
                    api_quote(quoted, name));
}

pgd_status api_model_write(const pgd_api_model *m, pgd_sv id, pgd_buf *out, api_error *e) {
    PGD_TRY(api_pick_model(m, id, e));
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    write_model(m, id, &w);
    return PGD_OK;
}

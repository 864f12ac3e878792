/* API keys: parsing of key files and constant-time lookup.
 *
 * Secrets are kept and compared as SHA-256 digests; every digest is compared, whatever matched
 * before, so that timing tells nothing about stored keys. Keys are immutable while the server runs.
 * Runs on the loop thread. */
#include "http/auth.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/hash.h"
#include "pagoda/mem.h"

const pgd_api_key *pgd_auth_find(const pgd_http_options *opt, const pgd_http_head *head) {
    pgd_sv secret = pgd_http_field_get(head, "authorization");
    if (secret.p != NULL) {
        if (secret.n < 7 || !pgd_http_name_eq((pgd_sv){secret.p, 7}, "bearer ")) return NULL;
        secret = (pgd_sv){secret.p + 7, secret.n - 7};
        while (secret.n > 0 && secret.p[0] == ' ')
            secret.p++, secret.n--;
    } else {
        secret = pgd_http_field_get(head, "x-api-key");
        if (secret.p == NULL) return NULL;
    }
    uint8_t digest[32];
    pgd_sha256(secret.p, secret.n, digest);
    const pgd_api_key *found = NULL;
    for (uint32_t i = 0; i < opt->n_keys; i++)
        if (pgd_ct_equal(digest, opt->keys[i].sha256, sizeof(digest))) found = &opt->keys[i];
    return found;
}

void pgd_http_key_from_secret(pgd_sv secret, uint32_t i, pgd_api_key *out) {
    memset(out, 0, sizeof(*out));
    (void)snprintf(out->id, sizeof(out->id), "key-%u", i);
    (void)snprintf(out->tenant, sizeof(out->tenant), "key-%u", i);
    pgd_sha256(secret.p, secret.n, out->sha256);
}

static bool parse_digest(pgd_sv hex, uint8_t out[32]) {
    if (hex.n != 64) return false;
    for (size_t i = 0; i < 64; i++) {
        const char c = hex.p[i];
        const int d = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
        if (d < 0) return false;
        out[i / 2] = (uint8_t)(i % 2 == 0 ? d << 4 : out[i / 2] | d);
    }
    return true;
}

static bool copy_name(pgd_sv s, char out[64]) {
    if (s.n == 0 || s.n > 63) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f) return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static pgd_status parse_key_line(pgd_sv line, uint32_t number, pgd_api_key *k, pgd_error *err) {
    pgd_sv part[4] = {{NULL, 0}};
    uint32_t n = 0;
    for (size_t at = 0; at <= line.n;) {
        size_t end = pgd_sv_find(line, PGD_SV(":"), at);
        if (end > line.n) end = line.n;
        if (n == 4) return pgd_fail(err, PGD_E_FORMAT, "line %u: more than four fields", number);
        part[n++] = (pgd_sv){line.p + at, end - at};
        at = end + 1;
    }
    memset(k, 0, sizeof(*k));
    if (n < 2 || !copy_name(part[0], k->id))
        return pgd_fail(err, PGD_E_FORMAT,
                        "line %u: expected id:sha256[:tenant[:priority]], the id being 1 to 63 "
                        "printable characters",
                        number);
    if (!parse_digest(part[1], k->sha256))
        return pgd_fail(
            err, PGD_E_FORMAT,
            "line %u: the second field must be the SHA-256 of the key in 64 hexadecimal "
            "digits (printf %%s KEY | sha256sum)",
            number);
    if (n < 3 || part[2].n == 0)
        memcpy(k->tenant, k->id, sizeof(k->tenant));
    else if (!copy_name(part[2], k->tenant))
        return pgd_fail(err, PGD_E_FORMAT, "line %u: bad tenant", number);
    if (n == 4 && part[3].n > 0) {
        if (!pgd_sv_eq(part[3], PGD_SV("priority")))
            return pgd_fail(err, PGD_E_FORMAT, "line %u: the fourth field may only be 'priority'",
                            number);
        k->may_set_priority = true;
    }
    return PGD_OK;
}

pgd_status pgd_http_parse_keys(pgd_sv text, pgd_api_key **keys, uint32_t *n, pgd_error *err) {
    uint32_t number = 0;
    for (size_t at = 0; at < text.n;) {
        size_t end = pgd_sv_find(text, PGD_SV("\n"), at);
        if (end > text.n) end = text.n;
        pgd_sv line = {text.p + at, end - at};
        at = end + 1;
        number++;
        while (line.n > 0 && (unsigned char)line.p[line.n - 1] <= ' ')
            line.n--;
        while (line.n > 0 && (unsigned char)line.p[0] <= ' ')
            line.p++, line.n--;
        if (line.n == 0 || line.p[0] == '#') continue;
        pgd_api_key *grown = pgd_realloc(*keys, (*n + 1) * sizeof(**keys));
        if (grown == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for API keys");
        *keys = grown;
        PGD_TRY(parse_key_line(line, number, &grown[*n], err));
        (*n)++;
    }
    return PGD_OK;
}

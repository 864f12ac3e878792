/* JSON Schema: strings.
 *
 * A string without pattern or format may spell its characters in any way JSON allows; its length is
 * a counter. Patterns and formats are matched against the shortest spelling of each character, and
 * several of them, or one beside a length, are intersected as automata; what a string must not be
 * is taken out likewise. Formats are patterns of our own, each within what the RFCs allow; days of
 * a month and leap years are right. Thread: the caller's. */
#include <string.h>

#include "schema.h"

#define HEX "[0-9a-fA-F]"
#define LEAP_TAIL "(?:0[48]|[2468][048]|[13579][26])"
#define DATE                                                                                       \
    "(?:(?:[1-9]\\d{3}|0[1-9]\\d{2}|00[1-9]\\d|000[1-9])-"                                         \
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"          \
    "02-(?:0[1-9]|1\\d|2[0-8]))|(?:\\d\\d" LEAP_TAIL "|" LEAP_TAIL "00)-02-29)"
#define TIME                                                                                       \
    "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define SPAN_TIME "T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)"
#define SPAN_DATE "(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)"
/* At most 251 bytes: seven labels of 35. */
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,33}[A-Za-z0-9])?"
#define HOST LABEL "(?:\\." LABEL "){0,6}"
#define ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define H16 HEX "{1,4}"
#define V6                                                                                         \
    "(?:(?:" H16 ":){7}" H16 "|(?:" H16 ":){1,7}:|:(?::" H16 "){1,7}|::|(?:" H16 ":){1,6}:" H16    \
    "|(?:" H16 ":){1,5}(?::" H16 "){2}|(?:" H16 ":){1,4}(?::" H16 "){3}|(?:" H16 ":){1,3}(?::" H16 \
    "){4}|(?:" H16 ":){1,2}(?::" H16 "){5}|" H16 ":(?::" H16 "){6})"
#define PCT "|%" HEX HEX ")"
#define HOSTCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=-]" PCT
#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]" PCT
#define QCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]" PCT
#define URI                                                                                        \
    "[A-Za-z][A-Za-z0-9+.-]*:(?://(?:" HOSTCHAR "*@)?" HOSTCHAR "*(?::\\d{1,4})?(?:/" PCHAR        \
    "*)*|" PCHAR "+(?:/" PCHAR "*)*|/(?:" PCHAR "+(?:/" PCHAR "*)*)?)(?:\\?" QCHAR "*)?(?:#" QCHAR \
    "*)?"

static const struct {
    const char *name, *pattern; /* pattern NULL: a format of numbers, no demand on strings */
} FORMATS[] = {
    {"date-time", DATE "T" TIME},
    {"date", DATE},
    {"time", TIME},
    {"duration", "P(?:" SPAN_DATE "(?:" SPAN_TIME ")?|" SPAN_TIME "|\\d{1,9}W)"},
    {"email", ATEXT "+(?:\\." ATEXT "+)*@" HOST},
    {"hostname", HOST},
    {"ipv4", OCTET "(?:\\." OCTET "){3}"},
    {"ipv6", V6},
    {"uuid", HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}"},
    {"uri", URI},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
    {"int32", NULL},
    {"int64", NULL},
    {"float", NULL},
    {"double", NULL},
};

static uint32_t format_expr(pgd_schema *sc, const pgd_json *s, pgd_sv name) {
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        uint32_t x = PGD_IR_FAIL;
        if (!pgd_sv_eq(name, pgd_sv_c(FORMATS[i].name))) continue;
        if (!FORMATS[i].pattern) return sc->any_key;
        if (sc->st == PGD_OK)
            sc->st = pgd_regex_parse(sc->ir, pgd_sv_c(FORMATS[i].pattern), PGD_CHARS_JSON, false,
                                     &x, sc->err);
        return x;
    }
    return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, s, "format",
                           "this format is not supported; date-time, date, time, duration, email, "
                           "hostname, ipv4, ipv6, uuid, uri and json-pointer are");
}

static uint32_t pattern_expr(pgd_schema *sc, const pgd_json *s, pgd_sv pattern) {
    uint32_t x = PGD_IR_FAIL;
    pgd_error why = {0};
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
    const pgd_status st = pgd_regex_parse(sc->ir, pattern, PGD_CHARS_JSON, true, &x, &why);
    if (st != PGD_OK) return pgd_schema_fail(sc, st, s, "pattern", why.msg);
    return x;
}

/* all and x, where `any` stands for no demand yet. */
static uint32_t both(pgd_schema *sc, uint32_t all, uint32_t x) {
    if (x == sc->any_key) return all;
    return all == sc->any_key ? x : pgd_ir_and(sc->ir, all, x);
}

uint32_t pgd_schema_string(pgd_schema *sc, const pgd_parts *flat) {
    const uint32_t min = pgd_schema_count(sc, flat, "minLength", true, 0);
    const uint32_t max = pgd_schema_count(sc, flat, "maxLength", false, PGD_IR_INF);
    uint32_t all = sc->any_key;
    for (uint32_t i = 0; i < flat->n && sc->st == PGD_OK; i++) {
        const pgd_json *const s = flat->v[i].s;
        const pgd_json *const pattern = pgd_json_get(s, "pattern");
        const pgd_json *const format = pgd_json_get(s, "format");
        pgd_sv text;
        if (pattern && !pgd_json_as_str(pattern, &text))
            return pgd_schema_fail(sc, PGD_E_INVALID, s, "pattern", "is not a string");
        if (pattern) all = both(sc, all, pattern_expr(sc, s, text));
        if (format && !pgd_json_as_str(format, &text))
            return pgd_schema_fail(sc, PGD_E_INVALID, s, "format", "is not a string");
        if (format) all = both(sc, all, format_expr(sc, s, text));
        const pgd_json *const no = pgd_schema_not(s, "pattern");
        if (no && !pgd_json_as_str(no, &text))
            return pgd_schema_fail(sc, PGD_E_INVALID, s, "not",
                                   "holds a pattern that is no string");
        if (no) all = pgd_ir_diff(sc->ir, all, pattern_expr(sc, s, text));
    }
    const uint32_t not_these = pgd_schema_excluded(sc, flat, PGD_T_STRING);
    if (not_these != PGD_IR_FAIL) all = pgd_ir_diff(sc->ir, all, not_these);
    if (all == sc->any_key) return pgd_ir_count(sc->ir, sc->json_char, min, max);
    return pgd_ir_limit_chars(sc->ir, all, min, max, sc->counted_char);
}

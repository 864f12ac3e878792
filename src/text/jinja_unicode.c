/* Unicode properties and case mappings for the string methods of templates, over utf8proc. Python
 * maps case in full (one character may become two or three) but without language or, except for the
 * final sigma, context; the few one-to-many upper mappings that templates can meet are listed here,
 * since utf8proc maps one to one. Thread: any; pure. Does not normalise. */
#include "jinja_unicode.h"

#include <string.h>

#include <utf8proc.h>

static utf8proc_category_t category(uint32_t cp) {
    return utf8proc_category((utf8proc_int32_t)cp);
}

bool juc_printable(uint32_t cp) {
    if (cp == ' ') return true;
    switch (category(cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

bool juc_alpha(uint32_t cp) {
    const utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool juc_digit(uint32_t cp) {
    return category(cp) == UTF8PROC_CATEGORY_ND;
}

bool juc_numeric(uint32_t cp) {
    const utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool juc_upper(uint32_t cp) {
    return category(cp) == UTF8PROC_CATEGORY_LU;
}

bool juc_lower(uint32_t cp) {
    return category(cp) == UTF8PROC_CATEGORY_LL;
}

bool juc_title(uint32_t cp) {
    return category(cp) == UTF8PROC_CATEGORY_LT;
}

/* The one-to-many upper mappings of SpecialCasing.txt in Latin scripts: from, then the letters. */
static const uint32_t expansions[][4] = {
    {0xdf, 'S', 'S', 0},   {0x149, 0x2bc, 'N', 0}, {0x1f0, 'J', 0x30c, 0},  {0xfb00, 'F', 'F', 0},
    {0xfb01, 'F', 'I', 0}, {0xfb02, 'F', 'L', 0},  {0xfb03, 'F', 'F', 'I'}, {0xfb04, 'F', 'F', 'L'},
    {0xfb05, 'S', 'T', 0}, {0xfb06, 'S', 'T', 0},
};

static size_t expand(uint32_t cp, uint32_t out[3]) {
    for (size_t i = 0; i < sizeof(expansions) / sizeof(expansions[0]); i++) {
        if (expansions[i][0] != cp) continue;
        memcpy(out, expansions[i] + 1, 3 * sizeof(out[0]));
        return out[2] ? 3 : 2;
    }
    return 0;
}

size_t juc_to_upper(uint32_t cp, uint32_t out[3]) {
    const size_t n = expand(cp, out);
    if (n) return n;
    out[0] = (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp);
    return 1;
}

size_t juc_to_title(uint32_t cp, uint32_t out[3]) {
    const size_t n = expand(cp, out);
    for (size_t i = 1; i < n; i++)
        juc_to_lower(out[i], out + i);
    if (n) return n;
    out[0] = (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp);
    return 1;
}

size_t juc_to_lower(uint32_t cp, uint32_t out[3]) {
    if (cp == 0x130) { /* I with dot: the only lower mapping that grows */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    return 1;
}

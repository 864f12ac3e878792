/* Unicode properties in patterns: \p{L}, \p{Lu}, \p{Letter}, \p{gc=Nd}, \p{Any}, \p{ASCII},
 * \p{Assigned} and their complements. Scripts and binary properties are not known here.
 *
 * The category of every code point is asked for once a property: a few milliseconds, which is
 * counted in the budget of steps. Thread: any. */
#include <string.h>
#include <utf8proc.h>

#include "ir.h"

enum { LAST = 0x10FFFF, STEPS = 400000 };

/* Categories by short and long name; a group is named by the first letter of its members. */
static const struct {
    const char *brief, *full;
} CATEGORIES[] = {
    {"L", "Letter"},
    {"LC", "Cased_Letter"},
    {"Lu", "Uppercase_Letter"},
    {"Ll", "Lowercase_Letter"},
    {"Lt", "Titlecase_Letter"},
    {"Lm", "Modifier_Letter"},
    {"Lo", "Other_Letter"},
    {"M", "Mark"},
    {"Mn", "Nonspacing_Mark"},
    {"Mc", "Spacing_Mark"},
    {"Me", "Enclosing_Mark"},
    {"N", "Number"},
    {"Nd", "Decimal_Number"},
    {"Nl", "Letter_Number"},
    {"No", "Other_Number"},
    {"P", "Punctuation"},
    {"Pc", "Connector_Punctuation"},
    {"Pd", "Dash_Punctuation"},
    {"Ps", "Open_Punctuation"},
    {"Pe", "Close_Punctuation"},
    {"Pi", "Initial_Punctuation"},
    {"Pf", "Final_Punctuation"},
    {"Po", "Other_Punctuation"},
    {"S", "Symbol"},
    {"Sm", "Math_Symbol"},
    {"Sc", "Currency_Symbol"},
    {"Sk", "Modifier_Symbol"},
    {"So", "Other_Symbol"},
    {"Z", "Separator"},
    {"Zs", "Space_Separator"},
    {"Zl", "Line_Separator"},
    {"Zp", "Paragraph_Separator"},
    {"C", "Other"},
    {"Cc", "Control"},
    {"Cf", "Format"},
    {"Co", "Private_Use"},
    {"Cn", "Unassigned"},
};

static bool matches(const char *of, const char *want) {
    if (strcmp(want, "LC") == 0) return of[0] == 'L' && strchr("ult", of[1]);
    return of[0] == want[0] && (want[1] == '\0' || of[1] == want[1]);
}

static void add_category(pgd_cpset *out, const char *want, bool inside) {
    uint32_t from = UINT32_MAX;
    for (uint32_t cp = 0; cp <= LAST + 1; cp++) {
        const bool in = cp <= LAST && !(cp >= 0xD800 && cp <= 0xDFFF) &&
                        matches(utf8proc_category_string((utf8proc_int32_t)cp), want) == inside;
        if (in && from == UINT32_MAX) from = cp;
        if (!in && from != UINT32_MAX) pgd_cpset_add(out, from, cp - 1);
        if (!in) from = UINT32_MAX;
    }
}

bool pgd_cpset_property(pgd_ir *ir, pgd_cpset *out, pgd_sv name, bool inside) {
    static const char *const prefixes[] = {"gc=", "General_Category="};
    if (pgd_sv_eq(name, PGD_SV("ASCII"))) {
        pgd_cpset_add(out, inside ? 0 : 0x80, inside ? 0x7F : LAST);
        return true;
    }
    if (pgd_sv_eq(name, PGD_SV("Any"))) {
        if (inside) pgd_cpset_add(out, 0, LAST);
        return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const pgd_sv p = pgd_sv_c(prefixes[i]);
        if (pgd_sv_starts(name, p)) name = (pgd_sv){name.p + p.n, name.n - p.n};
    }
    const char *want = NULL;
    if (pgd_sv_eq(name, PGD_SV("Assigned"))) {
        want = "Cn";
        inside = !inside;
    }
    for (size_t i = 0; i < sizeof CATEGORIES / sizeof CATEGORIES[0]; i++)
        if (pgd_sv_eq(name, pgd_sv_c(CATEGORIES[i].brief)) ||
            pgd_sv_eq(name, pgd_sv_c(CATEGORIES[i].full)))
            want = CATEGORIES[i].brief;
    if (!want) return false;
    if (pgd_ir_step(ir, STEPS)) add_category(out, want, inside);
    return true;
}

/* Unicode properties in patterns: \p{L}, \p{Lu}, \p{Letter}, \p{gc=Nd}, \p{Any}, \p{ASCII},
 * \p{Assigned}, \p{Script=Greek}, \p{scx=Grek} and their complements. Binary properties are not
 * known here.
 *
 * The category of every code point is asked for once a property: a few milliseconds, which is
 * counted in the budget of steps. Scripts are a table of our own, since utf8proc has none. A script
 * without its prefix is refused, as ECMA-262 has it: engines that allow it do not agree on which of
 * the two properties it means. Thread: any. */
#include <string.h>
#include <utf8proc.h>

#include "scripts.h"

enum { LAST = 0x10FFFF, STEPS = 400000, STEPS_A_RANGE = 8 };

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

/* Cut the first of the prefixes (NULL-terminated) that fits off the name. */
static bool cut(pgd_sv *name, const char *const *prefixes) {
    for (; *prefixes; prefixes++) {
        const pgd_sv p = pgd_sv_c(*prefixes);
        if (!pgd_sv_starts(*name, p)) continue;
        *name = (pgd_sv){name->p + p.n, name->n - p.n};
        return true;
    }
    return false;
}

static bool add_script(pgd_ir *ir, pgd_cpset *out, pgd_sv name, bool extensions, bool inside) {
    const pgd_script *script = NULL;
    for (size_t i = 0; i < pgd_n_scripts && !script; i++)
        if (pgd_sv_eq(name, pgd_sv_c(pgd_scripts[i].brief)) ||
            pgd_sv_eq(name, pgd_sv_c(pgd_scripts[i].full)))
            script = &pgd_scripts[i];
    if (!script) return false;
    const pgd_cprange *const v =
        pgd_script_ranges + (extensions ? script->first_ext : script->first);
    const uint32_t n = extensions ? script->n_ext : script->n;
    uint32_t at = 0; /* behind the range before */
    if (!pgd_ir_step(ir, (uint64_t)n * STEPS_A_RANGE)) return true;
    for (uint32_t i = 0; i < n; i++) {
        if (inside) pgd_cpset_add(out, v[i].lo, v[i].hi);
        if (!inside && v[i].lo > at) pgd_cpset_add(out, at, v[i].lo - 1);
        at = v[i].hi + 1;
    }
    if (!inside) pgd_cpset_add(out, at, LAST);
    return true;
}

bool pgd_cpset_property(pgd_ir *ir, pgd_cpset *out, pgd_sv name, bool inside) {
    static const char *const category[] = {"gc=", "General_Category=", NULL};
    static const char *const script[] = {"sc=", "Script=", NULL};
    static const char *const extensions[] = {"scx=", "Script_Extensions=", NULL};
    if (cut(&name, script)) return add_script(ir, out, name, false, inside);
    if (cut(&name, extensions)) return add_script(ir, out, name, true, inside);
    if (pgd_sv_eq(name, PGD_SV("ASCII"))) {
        pgd_cpset_add(out, inside ? 0 : 0x80, inside ? 0x7F : LAST);
        return true;
    }
    if (pgd_sv_eq(name, PGD_SV("Any"))) {
        if (inside) pgd_cpset_add(out, 0, LAST);
        return true;
    }
    (void)cut(&name, category);
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

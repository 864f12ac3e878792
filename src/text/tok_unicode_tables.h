/* Generated property tables of tok_unicode.c; scripts/golden/make_tokenizers_unicode.py makes them.
 */
#ifndef PGD_TEXT_TOK_UNICODE_TABLES_H
#define PGD_TEXT_TOK_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* first..last, or for lower_extra: from, to. */
typedef struct pgd_uc_range {
    uint32_t first, last;
} pgd_uc_range;

extern const pgd_uc_range pgd_uc_numeric[], pgd_uc_punct[], pgd_uc_mark[], pgd_uc_nonspacing[],
    pgd_uc_other[], pgd_uc_word[], pgd_uc_decomposes[], pgd_uc_combines[], pgd_uc_lower_extra[];
extern const size_t pgd_uc_numeric_n, pgd_uc_punct_n, pgd_uc_mark_n, pgd_uc_nonspacing_n,
    pgd_uc_other_n, pgd_uc_word_n, pgd_uc_decomposes_n, pgd_uc_combines_n, pgd_uc_lower_extra_n;

#endif

/* Unicode scripts: generated data (script_tables.c), read by unicode.c. */
#ifndef PAGODA_GRAMMAR_SCRIPTS_H
#define PAGODA_GRAMMAR_SCRIPTS_H

#include "ir.h"

/* Places in pgd_script_ranges: of the property Script, and of Script_Extensions. */
typedef struct pgd_script {
    const char *brief, *full;
    uint16_t first, n, first_ext, n_ext;
} pgd_script;

extern const pgd_cprange pgd_script_ranges[];
extern const pgd_script pgd_scripts[];
extern const size_t pgd_n_scripts;

#endif

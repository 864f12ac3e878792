/* check_fixtures FOLDER...: check a tokenizer against expected outputs made by other programs.
 *
 * Each folder holds a tokenizer.json and files cases*.jsonl (fields: cases.h). Prints one line per
 * folder and every mismatch; exits 0 only when all cases of all folders pass. Not part of the test
 * run by itself: published vocabularies are large and are not in this repository. */
#include <glob.h>
#include <stdio.h>

#include "golden/tokenizers/cases.h"

static int check_folder(const char *folder) {
    char path[4096];
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    case_counts counts = {0};
    glob_t found = {0};
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    if (pgd_tokenizer_load(path, &tok, &err) != PGD_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    snprintf(path, sizeof path, "%s/cases*.jsonl", folder);
    if (glob(path, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            run_cases(tok, found.gl_pathv[i], &counts);
        }
    }
    globfree(&found);
    pgd_tokenizer_destroy(&tok);
    printf("%s: %zu cases, %zu failed, %zu skipped\n", folder, counts.run, counts.failed,
           counts.skipped);
    return counts.failed > 0 || counts.run == 0;
}

int main(int argc, char **argv) {
    int rc = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        rc |= check_folder(argv[i]);
    }
    return rc;
}

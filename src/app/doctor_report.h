/* What doctor found: a list of lines, each with a verdict, and its two forms. Private to src/app.
 */
#ifndef PGD_APP_DOCTOR_REPORT_H
#define PGD_APP_DOCTOR_REPORT_H

#include <stdbool.h>

#include "pagoda/exec.h"
#include "pagoda/str.h"

typedef enum pgd_verdict {
    PGD_VERDICT_OK,
    PGD_VERDICT_NOTE, /* worth knowing; serve starts all the same */
    PGD_VERDICT_FAIL  /* serve would not start, or could not do what was asked of it */
} pgd_verdict;

typedef struct pgd_finding {
    pgd_verdict verdict;
    const char *topic;  /* static */
    const char *advice; /* static, what to do; NULL: nothing, or the text says it */
    pgd_buf text;       /* one line */
} pgd_finding;

enum { PGD_FINDINGS_MAX = 32 };

/* Zero it to begin; freed by pgd_report_fini. */
typedef struct pgd_report {
    pgd_finding finding[PGD_FINDINGS_MAX];
    uint32_t n, n_failed;
    bool has_plan; /* plan is filled */
    pgd_exec_info plan;
} pgd_report;

/* Add a line; topic and advice are borrowed for good. Line breaks in the text become blanks, so
 * that whatever a file name or an error holds, a finding stays one line. More than PGD_FINDINGS_MAX
 * is a bug. */
void pgd_report_add(pgd_report *r, pgd_verdict verdict, const char *topic, const char *advice,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* For people: a line a finding, and a verdict at the end. */
void pgd_report_text(const pgd_report *r, pgd_buf *out);
/* {"version", "ok", "checks": [{"verdict", "topic", "text", "advice"}], "memory_plan"}. */
void pgd_report_json(const pgd_report *r, pgd_buf *out);
/* 0 without a FAIL, else 1. */
int pgd_report_exit_code(const pgd_report *r);
void pgd_report_fini(pgd_report *r);

#endif

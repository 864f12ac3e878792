/* The list of findings and how it is shown.
 *
 * The text form is for a terminal and for a bug report: the verdict first, so that a FAIL is found
 * by eye and by grep. The JSON form has the same lines in the same order, and the memory plan as
 * numbers. Main thread only. Checks nothing itself. */
#include "app/doctor_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/memory_plan.h"
#include "pagoda/jsonw.h"
#include "pagoda/status.h"

enum { LINE_BYTES = 2048, TOPIC_WIDTH = 14 };

static const char *const names[] = {
    [PGD_VERDICT_OK] = "ok", [PGD_VERDICT_NOTE] = "note", [PGD_VERDICT_FAIL] = "FAIL"};

/* One line of valid text: what comes from files and paths may hold anything. */
static void clean(char *line) {
    for (char *p = line; *p != '\0';) {
        const size_t n = strlen(p), good = pgd_utf8_valid_prefix(p, n);
        for (size_t i = 0; i < good; i++)
            if ((unsigned char)p[i] < ' ' || p[i] == 0x7f) p[i] = ' ';
        p += good;
        if (*p != '\0') *p++ = '?';
    }
}

void pgd_report_add(pgd_report *r, pgd_verdict verdict, const char *topic, const char *advice,
                    const char *fmt, ...) {
    char line[LINE_BYTES];
    va_list args;
    PGD_ASSERT(r->n < PGD_FINDINGS_MAX);
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    clean(line);
    pgd_finding *f = &r->finding[r->n++];
    *f = (pgd_finding){.verdict = verdict, .topic = topic, .advice = advice};
    pgd_buf_puts(&f->text, line);
    r->n_failed += verdict == PGD_VERDICT_FAIL;
}

void pgd_report_text(const pgd_report *r, pgd_buf *out) {
    for (uint32_t i = 0; i < r->n; i++) {
        const pgd_finding *f = &r->finding[i];
        pgd_buf_putf(out, "%-5s %-*s %s\n", names[f->verdict], TOPIC_WIDTH, f->topic,
                     f->text.p != NULL ? f->text.p : "");
        if (f->advice != NULL) pgd_buf_putf(out, "%*s-> %s\n", 7 + TOPIC_WIDTH, "", f->advice);
    }
    if (r->n_failed == 0)
        pgd_buf_puts(out, "\nNothing stands in the way.\n");
    else
        pgd_buf_putf(out, "\n%u of %u checks failed.\n", r->n_failed, r->n);
}

void pgd_report_json(const pgd_report *r, pgd_buf *out) {
    static const char *const lower[] = {"ok", "note", "fail"};
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "version");
    pgd_jsonw_cstr(&w, PGD_VERSION);
    pgd_jsonw_key(&w, "ok");
    pgd_jsonw_bool(&w, r->n_failed == 0);
    pgd_jsonw_key(&w, "checks");
    pgd_jsonw_arr(&w);
    for (uint32_t i = 0; i < r->n; i++) {
        const pgd_finding *f = &r->finding[i];
        pgd_jsonw_obj(&w);
        pgd_jsonw_key(&w, "verdict");
        pgd_jsonw_cstr(&w, lower[f->verdict]);
        pgd_jsonw_key(&w, "topic");
        pgd_jsonw_cstr(&w, f->topic);
        pgd_jsonw_key(&w, "text");
        pgd_jsonw_str(&w, pgd_buf_sv(&f->text));
        pgd_jsonw_key(&w, "advice");
        pgd_jsonw_cstr(&w, f->advice);
        pgd_jsonw_end_obj(&w);
    }
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_key(&w, "memory_plan");
    if (r->has_plan)
        pgd_memory_plan_json(&r->plan, &w);
    else
        pgd_jsonw_null(&w);
    pgd_jsonw_end_obj(&w);
    pgd_buf_putc(out, '\n');
}

int pgd_report_exit_code(const pgd_report *r) {
    return r->n_failed == 0 ? 0 : 1;
}

void pgd_report_fini(pgd_report *r) {
    for (uint32_t i = 0; i < r->n; i++)
        pgd_buf_fini(&r->finding[i].text);
    *r = (pgd_report){0};
}

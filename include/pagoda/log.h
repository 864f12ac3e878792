/* Logging: one line per event on stderr, "text" (human) or "json" form, levels, per-site rate
 * limits with a count of what was dropped. Never prompts or outputs. The sink is one of the few
 * globals; it is set once in main. Thread: any. */
#ifndef PAGODA_LOG_H
#define PAGODA_LOG_H

#include <stdbool.h>

#include "pagoda/status.h"

typedef enum pgd_log_level {
    PGD_LOG_DEBUG,
    PGD_LOG_INFO,
    PGD_LOG_WARN,
    PGD_LOG_ERROR,
    PGD_LOG_OFF
} pgd_log_level;

typedef enum pgd_log_format { PGD_LOG_TEXT, PGD_LOG_JSON } pgd_log_format;

/* Set once, before threads start. Without it: level INFO, text. */
void pgd_log_setup(pgd_log_level level, pgd_log_format format);
bool pgd_log_enabled(pgd_log_level level);
/* One event of `component` ("kv", "http", ...). The message ends in key=value pairs by habit:
 * pgd_log(PGD_LOG_INFO, "kv", "evicted pages n=%u", n). At most 50 lines a second per level below
 * ERROR; the next line says how many were dropped. */
void pgd_log(pgd_log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "debug", "info", "warning"/"warn", "error", "off". Errors: PGD_E_INVALID. */
pgd_status pgd_log_parse_level(const char *s, pgd_log_level *out);

#endif

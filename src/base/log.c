/* The log: one line an event, on stderr, in one write.
 *
 * Level and format are among the few globals and are set once before threads start. A line is built
 * in a fixed buffer on the stack, so that logging works without memory and inside the step path;
 * what does not fit is cut. Control characters and bytes that are not UTF-8 are escaped, because
 * parts of a message come from clients and must not forge a line or break a terminal. Rates are
 * bounded a level and second under a mutex that is held for a few instructions; the number dropped
 * is told on the level's next line. Prompts and outputs do not belong here. Thread: any. */
#include "pagoda/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pagoda/clock.h"
#include "pagoda/str.h"

enum { MSG_BYTES = 2048, LINE_BYTES = 6 * MSG_BYTES + 256, LINES_PER_SECOND = 50 };

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static _Atomic int log_level = PGD_LOG_INFO;
static _Atomic int log_format = PGD_LOG_TEXT;

static pthread_mutex_t rate_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint64_t second;
    uint32_t lines;
    uint64_t dropped;
} rates[PGD_LOG_OFF]; /* by level, under rate_lock */

typedef struct line {
    char text[LINE_BYTES];
    size_t n;
} line;

static void put(line *l, const char *s, size_t n) {
    const size_t room = sizeof l->text - l->n;
    if (n > room) n = room;
    memcpy(l->text + l->n, s, n);
    l->n += n;
}

static void puts_(line *l, const char *s) {
    put(l, s, strlen(s));
}

/* Write one character of a message and return its length. Text form escapes as JSON does, save for
 * the quotes and backslashes that are harmless there. */
static size_t put_char(line *l, const char *s, size_t n, bool json) {
    uint32_t cp;
    const size_t len = pgd_utf8_decode(s, n, &cp);
    char hex[8];
    if (len == 0) {
        puts_(l, "\xEF\xBF\xBD"); /* U+FFFD for what is not UTF-8 */
        return 1;
    }
    if (cp == '\n') {
        puts_(l, "\\n");
    } else if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0)) {
        (void)snprintf(hex, sizeof hex, "\\u%04x", cp);
        puts_(l, hex);
    } else {
        if (json && (cp == '"' || cp == '\\')) put(l, "\\", 1);
        put(l, s, len);
    }
    return len;
}

static void put_escaped(line *l, const char *s, bool json) {
    const size_t n = strlen(s);
    for (size_t i = 0; i < n;)
        i += put_char(l, s + i, n - i, json);
}

static void put_time(line *l) {
    const uint64_t ns = pgd_wall_ns();
    const time_t s = (time_t)(ns / 1000000000u);
    struct tm tm;
    char text[64];
    (void)gmtime_r(&s, &tm);
    const size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + n, sizeof text - n, ".%03uZ", (unsigned)(ns / 1000000u % 1000u));
    puts_(l, text);
}

/* Whether a line of this level may go out now, and how many before it did not. Errors always may.
 */
static bool take_turn(pgd_log_level level, uint64_t *dropped) {
    const uint64_t second = pgd_wall_ns() / 1000000000u;
    (void)pthread_mutex_lock(&rate_lock);
    if (rates[level].second != second) {
        rates[level].second = second;
        rates[level].lines = 0;
    }
    const bool ok = level >= PGD_LOG_ERROR || rates[level].lines < LINES_PER_SECOND;
    if (ok) {
        rates[level].lines++;
        *dropped = rates[level].dropped;
        rates[level].dropped = 0;
    } else {
        rates[level].dropped++;
    }
    (void)pthread_mutex_unlock(&rate_lock);
    return ok;
}

/* One write, so that lines of several threads do not mix; a log nobody reads stops nobody. */
static void emit(const line *l) {
    const ssize_t n = write(STDERR_FILENO, l->text, l->n);
    (void)n;
}

static void build_text(line *l, pgd_log_level level, const char *component, const char *msg,
                       uint64_t dropped) {
    char tail[48];
    put_time(l);
    put(l, " ", 1);
    puts_(l, level_names[level]);
    put(l, " ", 1);
    puts_(l, component);
    puts_(l, ": ");
    put_escaped(l, msg, false);
    if (dropped) {
        (void)snprintf(tail, sizeof tail, " dropped=%llu", (unsigned long long)dropped);
        puts_(l, tail);
    }
}

static void build_json(line *l, pgd_log_level level, const char *component, const char *msg,
                       uint64_t dropped) {
    char tail[48];
    puts_(l, "{\"time\":\"");
    put_time(l);
    puts_(l, "\",\"level\":\"");
    puts_(l, level_names[level]);
    puts_(l, "\",\"component\":\"");
    put_escaped(l, component, true);
    puts_(l, "\",\"message\":\"");
    put_escaped(l, msg, true);
    put(l, "\"", 1);
    if (dropped) {
        (void)snprintf(tail, sizeof tail, ",\"dropped\":%llu", (unsigned long long)dropped);
        puts_(l, tail);
    }
    put(l, "}", 1);
}

void pgd_log_setup(pgd_log_level level, pgd_log_format format) {
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&log_format, (int)format, memory_order_relaxed);
}

bool pgd_log_enabled(pgd_log_level level) {
    return level < PGD_LOG_OFF &&
           (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

void pgd_log(pgd_log_level level, const char *component, const char *fmt, ...) {
    uint64_t dropped = 0;
    if (!pgd_log_enabled(level) || !take_turn(level, &dropped)) return;
    char msg[MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(msg, sizeof msg, fmt, ap) < 0) msg[0] = '\0';
    va_end(ap);
    const size_t n = strlen(msg);
    msg[n - pgd_utf8_incomplete_tail(msg, n)] = '\0';
    line l;
    l.n = 0;
    if (atomic_load_explicit(&log_format, memory_order_relaxed) == PGD_LOG_JSON)
        build_json(&l, level, component, msg, dropped);
    else
        build_text(&l, level, component, msg, dropped);
    put(&l, "\n", 1);
    emit(&l);
}

pgd_status pgd_log_parse_level(const char *s, pgd_log_level *out) {
    static const struct {
        const char *name;
        pgd_log_level level;
    } names[] = {{"debug", PGD_LOG_DEBUG}, {"info", PGD_LOG_INFO},   {"warning", PGD_LOG_WARN},
                 {"warn", PGD_LOG_WARN},   {"error", PGD_LOG_ERROR}, {"off", PGD_LOG_OFF}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(s, names[i].name) != 0) continue;
        *out = names[i].level;
        return PGD_OK;
    }
    return PGD_E_INVALID;
}

/* strftime_now: formats a UTC time as C's strftime in the C locale does, without calling it (its
 * format would come from a model file). Unknown directives stay as they are.
 *
 * The result is as trusted as the format, since the clock is ours. Thread: any. */
#include "jinja_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

static int hour12(const struct tm *t) {
    return t->tm_hour % 12 ? t->tm_hour % 12 : 12;
}

/* ISO 8601 week and its year. */
static int iso_week(const struct tm *t, int *year) {
    const int wday = (t->tm_wday + 6) % 7; /* Monday is 0 */
    int week = (t->tm_yday - wday + 10) / 7;
    *year = t->tm_year + 1900;
    const struct tm *const d = t;
    if (week < 1) {
        (*year)--;
        const bool leap = (*year % 4 == 0 && *year % 100 != 0) || *year % 400 == 0;
        week = (d->tm_yday + (leap ? 366 : 365) - wday + 10) / 7;
    } else if (week == 53) {
        const bool leap = (*year % 4 == 0 && *year % 100 != 0) || *year % 400 == 0;
        if (d->tm_yday - wday + 3 >= (leap ? 366 : 365)) {
            week = 1;
            (*year)++;
        }
    }
    return week;
}

/* A number with its usual width and padding; flag '-' drops the padding, '_' and '0' choose it. */
static int number(char *out, size_t n, int v, int width, char pad, char flag) {
    if (flag == '-') return snprintf(out, n, "%d", v);
    if (flag == '_') pad = ' ';
    if (flag == '0') pad = '0';
    return pad == '0' ? snprintf(out, n, "%0*d", width, v) : snprintf(out, n, "%*d", width, v);
}

/* One numeric directive; -1 when d is none. */
static int numeric(char *out, size_t n, char d, char flag, const struct tm *t) {
    int year;
    const int week = iso_week(t, &year);
    switch (d) {
    case 'Y':
        return number(out, n, t->tm_year + 1900, 1, '0', flag);
    case 'C':
        return number(out, n, (t->tm_year + 1900) / 100, 2, '0', flag);
    case 'y':
        return number(out, n, t->tm_year % 100, 2, '0', flag);
    case 'm':
        return number(out, n, t->tm_mon + 1, 2, '0', flag);
    case 'd':
        return number(out, n, t->tm_mday, 2, '0', flag);
    case 'e':
        return number(out, n, t->tm_mday, 2, ' ', flag);
    case 'H':
        return number(out, n, t->tm_hour, 2, '0', flag);
    case 'k':
        return number(out, n, t->tm_hour, 2, ' ', flag);
    case 'I':
        return number(out, n, hour12(t), 2, '0', flag);
    case 'l':
        return number(out, n, hour12(t), 2, ' ', flag);
    case 'M':
        return number(out, n, t->tm_min, 2, '0', flag);
    case 'S':
        return number(out, n, t->tm_sec, 2, '0', flag);
    case 'j':
        return number(out, n, t->tm_yday + 1, 3, '0', flag);
    case 'u':
        return number(out, n, t->tm_wday ? t->tm_wday : 7, 1, '0', flag);
    case 'w':
        return number(out, n, t->tm_wday, 1, '0', flag);
    case 'U':
        return number(out, n, (t->tm_yday + 7 - t->tm_wday) / 7, 2, '0', flag);
    case 'W':
        return number(out, n, (t->tm_yday + 7 - (t->tm_wday + 6) % 7) / 7, 2, '0', flag);
    case 'V':
        return number(out, n, week, 2, '0', flag);
    case 'G':
        return number(out, n, year, 1, '0', flag);
    default:
        return -1;
    }
}

/* Directives that stand for other formats. */
static const char *expansion(char d) {
    switch (d) {
    case 'F':
        return "%Y-%m-%d";
    case 'T':
    case 'X':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'D':
    case 'x':
        return "%m/%d/%y";
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    case 'r':
        return "%I:%M:%S %p";
    default:
        return NULL;
    }
}

static const char *word(char d, const struct tm *t, int *n) {
    const char *s = NULL;
    *n = 64;
    switch (d) {
    case 'a':
        *n = 3;
        s = days[t->tm_wday];
        break;
    case 'A':
        s = days[t->tm_wday];
        break;
    case 'b':
    case 'h':
        *n = 3;
        s = months[t->tm_mon];
        break;
    case 'B':
        s = months[t->tm_mon];
        break;
    case 'p':
        s = t->tm_hour < 12 ? "AM" : "PM";
        break;
    case 'P':
        s = t->tm_hour < 12 ? "am" : "pm";
        break;
    case 'z':
        s = "+0000";
        break;
    case 'Z':
        s = "UTC";
        break;
    case 'n':
        s = "\n";
        break;
    case 't':
        s = "\t";
        break;
    case '%':
        s = "%";
        break;
    default:
        break;
    }
    return s;
}

static void format(jrun *r, jsb *b, pgd_sv f, const struct tm *t, int64_t unix_s, bool trusted) {
    for (size_t i = 0; i < f.n; i++) {
        if (f.p[i] != '%' || i + 1 >= f.n) {
            jsb_put(r, b, (pgd_sv){f.p + i, 1}, trusted);
            continue;
        }
        const size_t begin = i++;
        char flag = 0, text[64];
        int n;
        if ((f.p[i] == '-' || f.p[i] == '_' || f.p[i] == '0') && i + 1 < f.n) flag = f.p[i++];
        const char *const more = expansion(f.p[i]), *const w = word(f.p[i], t, &n);
        if (more) {
            format(r, b, pgd_sv_c(more), t, unix_s, trusted); /* one level: none names another */
            continue;
        }
        if (w)
            n = snprintf(text, sizeof(text), "%.*s", n, w);
        else if (f.p[i] == 's')
            n = snprintf(text, sizeof(text), "%" PRId64, unix_s);
        else
            n = numeric(text, sizeof(text), f.p[i], flag, t);
        if (n >= 0)
            jsb_put(r, b, (pgd_sv){text, (size_t)n}, trusted);
        else
            jsb_put(r, b, (pgd_sv){f.p + begin, i - begin + 1}, trusted);
    }
}

jval *jstrftime(jrun *r, int64_t unix_s, const jval *fmt) {
    const time_t when = (time_t)unix_s;
    struct tm t;
    if (!gmtime_r(&when, &t)) return jfail(r, "strftime_now: the time is out of range");
    jsb b = {0};
    format(r, &b, jsv(fmt), &t, unix_s, jstr_all_trusted(fmt));
    return jsb_done(r, &b);
}

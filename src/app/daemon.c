/* The monitor thread: waits for signals, drains, and watches that the engine moves.
 *
 * Signals are blocked in every thread and taken here with sigtimedwait, so nothing runs in a signal
 * handler. It wakes once a second when idle. Leaving is always through pgd_http_stop, after which
 * the main thread takes everything down. */
#include <string.h>
#include <time.h>

#include "app/serve.h"
#include "pagoda/log.h"

enum { IDLE_WAIT_MS = 1000, DRAIN_WAIT_MS = 20, CUT_GRACE_MS = 2000 };

/* The signal that came within ms, or 0. */
static int wait_signal(const pgd_server *s, uint32_t ms) {
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    const int n = sigtimedwait(&s->signals, NULL, &t);
    return n > 0 ? n : 0;
}

static bool loaded(const pgd_server *s) {
    return atomic_load(&s->load_state) == PGD_LOAD_DONE;
}

/* Wait until no call is left; false on the deadline or another signal. */
static bool wait_calls(const pgd_server *s, double seconds) {
    const uint64_t end = pgd_clock_now(&s->clock) + (uint64_t)(seconds * 1e9);
    while (pgd_api_active(s->api) > 0) {
        if (pgd_clock_now(&s->clock) >= end) return false;
        const int n = wait_signal(s, DRAIN_WAIT_MS);
        if (n == SIGTERM || n == SIGINT) {
            pgd_log(PGD_LOG_WARN, "app", "second signal: ending at once");
            return false;
        }
    }
    return true;
}

static void leave(pgd_server *s, int code) {
    atomic_store(&s->exit_code, code);
    pgd_http_stop(s->http);
}

static void drain(pgd_server *s, int signal_number) {
    const pgd_config *c = s->config;
    pgd_log(PGD_LOG_INFO, "app", "%s: draining, active=%u delay_s=%g timeout_s=%g",
            signal_number == SIGTERM ? "SIGTERM" : "SIGINT", pgd_api_active(s->api), c->drain_delay,
            c->drain_timeout);
    int again = 0;
    if (signal_number == SIGTERM && loaded(s)) {
        pgd_api_set_state(s->api, PGD_API_LEAVING);
        const uint64_t end = pgd_clock_now(&s->clock) + (uint64_t)(c->drain_delay * 1e9);
        while (again == 0 && pgd_clock_now(&s->clock) < end)
            again = wait_signal(s, DRAIN_WAIT_MS);
    }
    pgd_api_set_state(s->api, PGD_API_DRAINING);
    pgd_http_quiesce(s->http);
    if (loaded(s)) pgd_engine_drain(s->engine);
    if (again == 0 && wait_calls(s, c->drain_timeout)) {
        pgd_log(PGD_LOG_INFO, "app", "drained");
        leave(s, PGD_EXIT_OK);
        return;
    }
    pgd_log(PGD_LOG_WARN, "app", "cutting off active=%u", pgd_api_active(s->api));
    if (loaded(s)) pgd_engine_cancel_all(s->engine);
    wait_calls(s, CUT_GRACE_MS / 1e3);
    leave(s, PGD_EXIT_DRAIN_CUT);
}

/* Whether the engine is beyond help; then the process ends, so that a supervisor restarts it. */
static bool watch(pgd_server *s) {
    if (!loaded(s)) return false;
    pgd_engine_stats stats;
    pgd_engine_get_stats(s->engine, &stats);
    const uint64_t now = pgd_clock_now(&s->clock);
    const uint64_t limit = (uint64_t)(s->config->stall_limit * 1e9);
    if (stats.fatal) {
        pgd_log(PGD_LOG_ERROR, "app", "device failed for good: %s", stats.fatal_msg);
        pgd_api_set_state(s->api, PGD_API_DEAD);
        wait_calls(s, CUT_GRACE_MS / 1e3);
        leave(s, PGD_EXIT_DEVICE);
        return true;
    }
    if (stats.oldest_step_ns != 0 && now > stats.oldest_step_ns + limit) {
        pgd_log(PGD_LOG_ERROR, "app", "a step has been running for more than %g s",
                s->config->stall_limit);
        pgd_api_set_state(s->api, PGD_API_DEAD);
        leave(s, PGD_EXIT_STALLED);
        return true;
    }
    return false;
}

void *pgd_server_monitor(void *server) {
    pgd_server *s = server;
    for (;;) {
        const int n = wait_signal(s, IDLE_WAIT_MS);
        if (n == SIGTERM || n == SIGINT) {
            drain(s, n);
            return NULL;
        }
        if (atomic_load(&s->load_state) == PGD_LOAD_FAILED || watch(s)) return NULL;
    }
}

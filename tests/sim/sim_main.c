/* sim_engine [--seed S] [--count N]: run N random schedules (default 100000) from seed S (default
 * 1). Every 64th is run twice and must do the same. On the first failure: the seed, what was wrong,
 * and exit 1; `--seed <that> --count 1` reproduces it. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/log.h"
#include "pagoda/mem.h"
#include "sim.h"

/* For the handler of an assertion or a crash inside the engine: it must name the seed. */
static volatile sig_atomic_t seed_high, seed_low;

static void on_abort(int sig) {
    const uint64_t seed = (uint64_t)(uint32_t)seed_high << 32 | (uint32_t)seed_low;
    (void)sig;
    (void)fprintf(stderr, "sim_engine: aborted, reproduce with --seed %" PRIu64 " --count 1\n",
                  seed);
    _Exit(1);
}

static int parse(int argc, char **argv, uint64_t *seed, uint64_t *count) {
    for (int i = 1; i < argc; i += 2) {
        uint64_t *to = strcmp(argv[i], "--seed") == 0    ? seed
                       : strcmp(argv[i], "--count") == 0 ? count
                                                         : NULL;
        char *end = NULL;
        errno = 0;
        if (to && i + 1 < argc) *to = strtoull(argv[i + 1], &end, 10);
        if (!end || *end || errno) {
            (void)fprintf(stderr, "usage: sim_engine [--seed S] [--count N]\n");
            return 2;
        }
    }
    return 0;
}

static bool run_seed(scenario *s, uint64_t seed, sim_totals *t) {
    char text[1200];
    const char *what;
    seed_high = (sig_atomic_t)(uint32_t)(seed >> 32);
    seed_low = (sig_atomic_t)(uint32_t)seed;
    sim_draw(s, seed);
    const uint64_t hash = sim_run_scenario(s, t, text, sizeof text, &what);
    if (!what && seed % 64 == 0) {
        sim_totals again = {0};
        sim_draw(s, seed);
        if (sim_run_scenario(s, &again, text, sizeof text, &what) != hash && !what)
            what = "a second run did something else";
    }
    if (!what) return true;
    (void)fprintf(stderr, "sim_engine: %s\nreproduce with --seed %" PRIu64 " --count 1\n", what,
                  seed);
    return false;
}

int main(int argc, char **argv) {
    uint64_t seed = 1, count = 100000;
    sim_totals t = {0};
    const int bad = parse(argc, argv, &seed, &count);
    if (bad) return bad;
    pgd_log_setup(PGD_LOG_OFF, PGD_LOG_TEXT); /* devices die on purpose */
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGSEGV, on_abort);
    scenario *s = pgd_malloc(sizeof *s);
    if (!s || !sim_grammars_create()) return 1;
    uint64_t i = 0;
    while (i < count && run_seed(s, seed + i, &t))
        i++;
    pgd_free(s);
    sim_grammars_destroy();
    (void)printf("sim_engine: %" PRIu64 " schedules from seed %" PRIu64 ": %" PRIu64
                 " turns, %" PRIu64 " steps, %" PRIu64 " tokens, %" PRIu64 " cached, %" PRIu64
                 " preemptions, %" PRIu64 " evictions; stop %" PRIu64 " length %" PRIu64
                 " cancelled %" PRIu64 " error %" PRIu64 " refused %" PRIu64 " dead %" PRIu64 "\n",
                 i, seed, t.turns, t.steps, t.generated, t.cached_tokens, t.preemptions, t.evicted,
                 t.finished[PGD_FINISH_STOP], t.finished[PGD_FINISH_LENGTH],
                 t.finished[PGD_FINISH_CANCELLED], t.finished[PGD_FINISH_ERROR], t.refused,
                 t.fatal);
    return i == count ? 0 : 1;
}

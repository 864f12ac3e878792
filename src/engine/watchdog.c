/* Judge progress. A server whose device hangs still answers HTTP, so health must come from steps:
 * how old the oldest step in flight is, and how long ago the loop turned. An idle engine turns once
 * a second, so an old heartbeat means a stuck thread, never an empty queue. Thread: any; reads
 * relaxed atomics. Only judges: what to do about it (not ready, dump, exit) is for app and http. */
#include "engine_int.h"

static const uint64_t MIN_LIMIT_NS = 30000000000; /* long prefills on slow CPUs are not hangs */

static bool overdue(uint64_t since_ns, uint64_t now_ns, uint64_t limit_ns) {
    return since_ns != 0 && now_ns > since_ns && now_ns - since_ns > limit_ns;
}

pgd_health pgd_engine_get_health(const pgd_engine *e, uint64_t now_ns) {
    if (atomic_load_explicit(&e->fatal, memory_order_acquire)) return PGD_HEALTH_DEAD;
    const shared_stats *s = &e->stats;
    const uint64_t typical = atomic_load_explicit(&s->step_ewma_ns, memory_order_relaxed);
    const uint64_t limit = 10 * typical > MIN_LIMIT_NS ? 10 * typical : MIN_LIMIT_NS;
    const uint64_t step = atomic_load_explicit(&s->oldest_step_ns, memory_order_relaxed);
    const uint64_t beat = atomic_load_explicit(&s->heartbeat_ns, memory_order_relaxed);
    return overdue(step, now_ns, limit) || overdue(beat, now_ns, limit) ? PGD_HEALTH_STALLED
                                                                        : PGD_HEALTH_OK;
}

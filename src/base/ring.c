/* Bounded single-producer single-consumer ring of 64-bit words.
 *
 * head (next to read) belongs to the consumer, tail (next to write) to the producer; each lies on a
 * cache line of its own, with the owner's stale copy of the other's index beside it, so that the
 * other's line is read only when the ring looks full or empty. Indices run free and wrap at 2^32.
 * Sleeping: the consumer sets `asleep` and then looks at tail once more; the producer moves tail
 * and then looks at `asleep`. Both pairs are sequentially consistent, so at least one of the two
 * sees the other and no wake-up is lost. */
#include "pagoda/queue.h"

#include "futex.h"
#include "pagoda/clock.h"
#include "pagoda/mem.h"

enum { CACHE_LINE = 64, SPIN_NS = 20000, SPINS_PER_LOOK = 32 };

struct pgd_ring {
    _Alignas(CACHE_LINE) _Atomic uint32_t head; /* written by the consumer, release */
    uint32_t tail_seen;
    _Alignas(CACHE_LINE) _Atomic uint32_t tail; /* written by the producer, seq_cst; futex word */
    uint32_t head_seen;
    _Alignas(CACHE_LINE) _Atomic uint32_t asleep;
    uint32_t mask;
    uint64_t *slots;
};

pgd_status pgd_ring_create(pgd_ring **out, uint32_t capacity) {
    if (capacity == 0 || (capacity & (capacity - 1)) != 0) return PGD_E_INVALID;
    pgd_ring *r = pgd_aligned_alloc(sizeof *r, CACHE_LINE);
    if (!r) return PGD_E_NOMEM;
    r->mask = capacity - 1;
    r->slots = pgd_calloc(capacity, sizeof *r->slots);
    if (!r->slots) {
        pgd_aligned_free(r, sizeof *r);
        return PGD_E_NOMEM;
    }
    *out = r;
    return PGD_OK;
}

void pgd_ring_destroy(pgd_ring **r) {
    if (!r || !*r) return;
    pgd_free((*r)->slots);
    pgd_aligned_free(*r, sizeof **r);
    *r = NULL;
}

bool pgd_ring_push(pgd_ring *r, uint64_t v) {
    const uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail - r->head_seen > r->mask) {
        /* acquire pairs with the release in pop: the slot has been read before it is written */
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail - r->head_seen > r->mask) return false;
    }
    r->slots[tail & r->mask] = v;
    atomic_store(&r->tail, tail + 1);
    if (atomic_load(&r->asleep)) {
        atomic_store_explicit(&r->asleep, 0, memory_order_relaxed);
        futex_wake(&r->tail, 1);
    }
    return true;
}

bool pgd_ring_pop(pgd_ring *r, uint64_t *v) {
    const uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head == r->tail_seen) {
        r->tail_seen = atomic_load(&r->tail); /* pairs with the store in push */
        if (head == r->tail_seen) return false;
    }
    *v = r->slots[head & r->mask];
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return true;
}

bool pgd_ring_wait(pgd_ring *r, uint64_t *v, uint64_t timeout_ns) {
    const pgd_clock clock = pgd_clock_monotonic();
    const uint64_t start = pgd_clock_now(&clock);
    for (;;) {
        if (pgd_ring_pop(r, v)) return true;
        const uint64_t waited = pgd_clock_now(&clock) - start;
        if (waited >= timeout_ns) return false;
        if (waited < SPIN_NS) {
            for (int i = 0; i < SPINS_PER_LOOK; i++)
                spin_hint();
            continue;
        }
        const uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
        atomic_store(&r->asleep, 1);
        if (atomic_load(&r->tail) == head)
            futex_wait(&r->tail, head, timeout_ns == UINT64_MAX ? UINT64_MAX : timeout_ns - waited);
        atomic_store_explicit(&r->asleep, 0, memory_order_relaxed);
    }
}

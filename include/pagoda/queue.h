/* Hand-over between threads. Ring: bounded single-producer single-consumer, no locks. Mailbox: many
 * producers, one consumer, a mutex and an intrusive list (rates are low: keep it dull), with an
 * eventfd to sleep on. Stack: many producers push, the consumer takes all at once. */
#ifndef PAGODA_QUEUE_H
#define PAGODA_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pagoda/status.h"

typedef struct pgd_ring pgd_ring;
/* capacity: a power of two. Items are 64-bit words. Errors: PGD_E_NOMEM, PGD_E_INVALID. */
pgd_status pgd_ring_create(pgd_ring **out, uint32_t capacity);
void pgd_ring_destroy(pgd_ring **r);
bool pgd_ring_push(pgd_ring *r, uint64_t v); /* producer; false when full */
bool pgd_ring_pop(pgd_ring *r, uint64_t *v); /* consumer; false when empty */
/* Consumer: wait until an item is there or timeout_ns passed (spins about 20 us, then sleeps on a
 * futex). False on timeout. UINT64_MAX waits for ever. */
bool pgd_ring_wait(pgd_ring *r, uint64_t *v, uint64_t timeout_ns);

/* Embed in the item. */
typedef struct pgd_link {
    struct pgd_link *next;
} pgd_link;

typedef struct pgd_mailbox pgd_mailbox;
pgd_status pgd_mailbox_create(pgd_mailbox **out);
void pgd_mailbox_destroy(pgd_mailbox **m);
/* Any thread. Wakes the consumer. */
void pgd_mailbox_push(pgd_mailbox *m, pgd_link *item);
/* Consumer: all items in push order, NULL when none. */
pgd_link *pgd_mailbox_take_all(pgd_mailbox *m);
/* Consumer: sleep until something is pushed, pgd_mailbox_wake is called, or timeout_ns. */
void pgd_mailbox_wait(pgd_mailbox *m, uint64_t timeout_ns);
void pgd_mailbox_wake(pgd_mailbox *m);

/* Lock-free take-all stack; items come out newest first. {0} is empty. */
typedef struct pgd_stack {
    _Atomic(pgd_link *) head;
} pgd_stack;
void pgd_stack_push(pgd_stack *s, pgd_link *item); /* release */
pgd_link *pgd_stack_take_all(pgd_stack *s);        /* acquire */

#endif

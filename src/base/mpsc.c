/* Many producers, one consumer: the mailbox (in order, can be slept on) and the take-all stack.
 *
 * The mailbox carries requests and control, some ten thousand a second at most, so it is a mutex
 * and a list; the eventfd is written only when the list was empty or on an explicit wake. The stack
 * carries "look at me" marks on the token path and takes no lock; since the consumer only ever
 * takes all of it, there is no ABA. Items are intrusive and never allocated here. A producer may
 * still be inside push after the consumer has seen its item: destroy a mailbox only when no
 * producer can be left (threads joined). */
#include "pagoda/queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "pagoda/mem.h"

struct pgd_mailbox {
    pthread_mutex_t lock; /* guards first and last */
    pgd_link *first;
    pgd_link **last; /* where the next item is hung */
    int event_fd;
};

pgd_status pgd_mailbox_create(pgd_mailbox **out) {
    pgd_mailbox *m = pgd_calloc(1, sizeof *m);
    if (!m) return PGD_E_NOMEM;
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->event_fd < 0) {
        pgd_free(m);
        return errno == ENOMEM ? PGD_E_NOMEM : PGD_E_IO;
    }
    (void)pthread_mutex_init(&m->lock, NULL); /* cannot fail with default attributes on Linux */
    m->last = &m->first;
    *out = m;
    return PGD_OK;
}

void pgd_mailbox_destroy(pgd_mailbox **m) {
    if (!m || !*m) return;
    (void)close((*m)->event_fd);
    (void)pthread_mutex_destroy(&(*m)->lock);
    pgd_free(*m);
    *m = NULL;
}

void pgd_mailbox_wake(pgd_mailbox *m) {
    const uint64_t one = 1;
    /* fails only when the counter is full, and then the consumer is being woken already */
    const ssize_t n = write(m->event_fd, &one, sizeof one);
    (void)n;
}

void pgd_mailbox_push(pgd_mailbox *m, pgd_link *item) {
    item->next = NULL;
    (void)pthread_mutex_lock(&m->lock);
    const bool was_empty = m->first == NULL;
    *m->last = item;
    m->last = &item->next;
    (void)pthread_mutex_unlock(&m->lock);
    if (was_empty) pgd_mailbox_wake(m);
}

pgd_link *pgd_mailbox_take_all(pgd_mailbox *m) {
    (void)pthread_mutex_lock(&m->lock);
    pgd_link *const first = m->first;
    m->first = NULL;
    m->last = &m->first;
    (void)pthread_mutex_unlock(&m->lock);
    return first;
}

void pgd_mailbox_wait(pgd_mailbox *m, uint64_t timeout_ns) {
    (void)pthread_mutex_lock(&m->lock);
    const bool pending = m->first != NULL;
    (void)pthread_mutex_unlock(&m->lock);
    /* With items pending, only clear the event; without, a push from here on makes it readable. */
    struct pollfd p = {.fd = m->event_fd, .events = POLLIN};
    const uint64_t ns = pending ? 0 : timeout_ns;
    const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u),
                               .tv_nsec = (long)(ns % 1000000000u)};
    if (ppoll(&p, 1, ns == UINT64_MAX ? NULL : &t, NULL) <= 0) return;
    uint64_t count;
    const ssize_t n = read(m->event_fd, &count, sizeof count);
    (void)n; /* the consumer is the only reader, so the poll's word holds */
}

void pgd_stack_push(pgd_stack *s, pgd_link *item) {
    pgd_link *head = atomic_load_explicit(&s->head, memory_order_relaxed);
    do
        item->next = head;
    while (!atomic_compare_exchange_weak_explicit(&s->head, &head, item, memory_order_release,
                                                  memory_order_relaxed));
}

pgd_link *pgd_stack_take_all(pgd_stack *s) {
    return atomic_exchange_explicit(&s->head, NULL, memory_order_acquire);
}

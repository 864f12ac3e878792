/* The policy as the pure function it is: states built by hand, choices compared. Pages of 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/sched.h"
#include "pagoda/mem.h"

enum { MAX = 8, PAGES = 32 };

typedef struct bed {
    pgd_page_pool *pool;
    pgd_request req[MAX];
    pgd_toklog out[MAX];
    pgd_job *job[MAX];
    int32_t tok[MAX][256];
    uint32_t table[MAX][64];
    pgd_seq *run[MAX], *victim[MAX];
    sched_choice choice[MAX];
    uint32_t n, n_run;
    pgd_seq *waiting, *last;
    sched_in in;
    sched_out res;
} bed;

static bed *make(uint32_t n_pages) {
    bed *b = pgd_calloc(1, sizeof *b);
    assert_non_null(b);
    assert_int_equal(pgd_page_pool_create(&b->pool, n_pages, NULL), PGD_OK);
    b->in = (sched_in){.step = 1,
                       .max_seqs = MAX,
                       .max_tokens = 64,
                       .n_free_slots = MAX,
                       .max_bytes = 1 << 16,
                       .page_tokens = 4,
                       .max_bypass = 2};
    return b;
}

static void unmake(bed *b) {
    for (uint32_t i = 0; i < b->n; i++)
        pgd_free(b->job[i]);
    pgd_page_pool_destroy(&b->pool);
    pgd_free(b);
}

static pgd_seq *add(bed *b, uint32_t n_prompt, int32_t priority) {
    const uint32_t i = b->n++;
    pgd_job *job = pgd_calloc(1, sizeof *job + sizeof job->seq[0]);
    assert_non_null(job);
    b->job[i] = job;
    for (uint32_t k = 0; k < 256; k++)
        b->tok[i][k] = (int32_t)k;
    b->out[i].token = b->tok[i];
    b->req[i] = (pgd_request){.prompt = b->tok[i], .n_prompt = n_prompt, .out = &b->out[i]};
    job->req = &b->req[i];
    job->n_seqs = 1;
    job->seq[0] = (pgd_seq){.job = job,
                            .req = job->req,
                            .log = &b->out[i],
                            .order = i + 1,
                            .priority = priority,
                            .state = SEQ_WAITING,
                            .n_prompt = n_prompt,
                            .n_known = n_prompt,
                            .max_known = n_prompt + 64,
                            .node = PGD_NO_NODE,
                            .tab_lo = UINT32_MAX};
    return &job->seq[0];
}

static pgd_seq *wait(bed *b, uint32_t n_prompt) {
    pgd_seq *s = add(b, n_prompt, 0);
    s->prev = b->last;
    *(b->last ? &b->last->next : &b->waiting) = s;
    b->last = s;
    return s;
}

/* A running one with n_kv positions done and the pages for them; in order of importance. */
static pgd_seq *run(bed *b, uint32_t n_prompt, uint32_t n_kv, int32_t priority) {
    pgd_seq *s = add(b, n_prompt, priority);
    s->state = SEQ_RUNNING;
    s->n_kv = n_kv;
    s->pages = b->table[b->n - 1];
    while (s->n_pages * 4 < n_kv)
        s->pages[s->n_pages++] = pgd_page_pool_alloc(b->pool);
    b->run[b->n_run++] = s;
    return s;
}

static const sched_out *decide(bed *b) {
    b->in.run = b->run;
    b->in.n_run = b->n_run;
    b->in.waiting = b->waiting;
    b->in.pool = b->pool;
    b->res = (sched_out){.choice = b->choice, .victim = b->victim};
    sched_step(&b->in, &b->res);
    return &b->res;
}

static void expect(const sched_choice *c, const pgd_seq *s, uint32_t start, uint32_t rows,
                   uint32_t n_new_pages) {
    assert_ptr_equal(c->seq, s);
    assert_int_equal(c->start, start);
    assert_int_equal(c->rows, rows);
    assert_int_equal(c->n_new_pages, n_new_pages);
}

static void decodes_and_a_prefill_chunk_share_one_step(void **state) {
    (void)state;
    bed *b = make(PAGES);
    pgd_seq *a = run(b, 8, 7, 0), *c = run(b, 40, 8, 0), *d = run(b, 5, 4, 0);
    b->in.max_tokens = 10;
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 3);
    expect(&o->choice[0], a, 7, 1, 0);
    expect(&o->choice[1], c, 8, 8, 2); /* 10 less the two decode rows, though d comes later */
    expect(&o->choice[2], d, 4, 1, 1);
    unmake(b);
}

static void a_prefill_gets_a_row_however_many_decode(void **state) {
    (void)state;
    bed *b = make(PAGES);
    pgd_seq *a = run(b, 40, 8, 0);
    (void)run(b, 8, 7, 0);
    (void)run(b, 8, 7, 0);
    b->in.max_tokens = 2;
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 2);
    expect(&o->choice[0], a, 8, 1, 1);
    unmake(b);
}

static void what_is_in_flight_is_not_wanted_again(void **state) {
    (void)state;
    bed *b = make(PAGES);
    pgd_seq *a = run(b, 8, 4, 0), *c = run(b, 8, 4, 0);
    a->fly[1] = (seq_fly){.rows = 4, .samples = 1}; /* its sample makes one more row wanted */
    a->pages[a->n_pages++] = pgd_page_pool_alloc(b->pool);
    c->fly[1] = (seq_fly){.rows = 4, .samples = 0};
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 1);
    expect(&o->choice[0], a, 8, 1, 1);
    unmake(b);
}

static void the_known_end_is_not_computed(void **state) {
    (void)state;
    bed *b = make(PAGES);
    pgd_seq *a = run(b, 8, 8, 0);
    a->n_known = a->max_known = 9; /* the last token needs no KV */
    assert_int_equal(decide(b)->n_choices, 0);
    unmake(b);
}

static void the_least_important_is_preempted_and_nobody_admitted(void **state) {
    (void)state;
    bed *b = make(5);
    pgd_seq *a = run(b, 9, 8, 0), *c = run(b, 8, 7, 0), *d = run(b, 3, 2, 0);
    (void)wait(b, 1);
    const sched_out *o = decide(b);
    assert_int_equal(o->n_victims, 1);
    assert_ptr_equal(o->victim[0], d);
    assert_true(o->pressed);
    assert_int_equal(o->n_choices, 2);
    expect(&o->choice[0], a, 8, 1, 1); /* nothing of d is in flight: its page is there at once */
    expect(&o->choice[1], c, 7, 1, 0);
    unmake(b);
}

static void pages_on_their_way_back_are_waited_for(void **state) {
    (void)state;
    bed *b = make(5);
    pgd_seq *leaving = add(b, 4, 0), *leave[1] = {leaving};
    leaving->state = SEQ_DRAINING;
    leaving->pages = b->table[0];
    leaving->pages[leaving->n_pages++] = pgd_page_pool_alloc(b->pool);
    (void)run(b, 9, 8, 0);
    (void)run(b, 8, 7, 0);
    b->in.leave = leave;
    b->in.n_leave = 1;
    const sched_out *o = decide(b);
    assert_int_equal(o->n_victims, 0);
    assert_int_equal(o->n_choices, 1);
    unmake(b);
}

static void a_more_important_one_is_never_preempted(void **state) {
    (void)state;
    bed *b = make(4);
    pgd_seq *first = run(b, 8, 7, -5);
    (void)run(b, 9, 8, 3); /* lacks a page; only the more important one could give it */
    const sched_out *o = decide(b);
    assert_int_equal(o->n_victims, 0);
    assert_int_equal(o->n_choices, 1);
    assert_ptr_equal(o->choice[0].seq, first);
    unmake(b);
}

static void a_chunk_shrinks_to_the_pages_there_are(void **state) {
    (void)state;
    bed *b = make(6);
    pgd_seq *a = run(b, 40, 8, 0);
    (void)run(b, 8, 7, 0);
    const sched_out *o = decide(b);
    assert_int_equal(o->n_victims, 0);
    expect(&o->choice[0], a, 8, 8, 2);
    unmake(b);
}

static void admission_keeps_to_the_limits(void **state) {
    (void)state;
    bed *b = make(PAGES);
    pgd_seq *w[4];
    for (int i = 0; i < 4; i++)
        w[i] = wait(b, 8);
    b->in.max_tokens = 18;
    b->in.max_seqs = 3;
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 3);
    expect(&o->choice[0], w[0], 0, 8, 2);
    expect(&o->choice[1], w[1], 0, 8, 2);
    expect(&o->choice[2], w[2], 0, 2, 1); /* chunked: the budget ends */
    b->in.step = 2;
    b->in.n_free_slots = 1;
    assert_int_equal(decide(b)->n_choices, 1);
    unmake(b);
}

static void the_head_of_the_line_is_not_skipped_for_a_smaller_one(void **state) {
    (void)state;
    bed *b = make(8);
    (void)run(b, 16, 15, 0);
    (void)wait(b, 20); /* five pages, four are free */
    (void)wait(b, 1);
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 1);
    unmake(b);
}

static void what_running_prefills_still_need_is_not_given_away(void **state) {
    (void)state;
    bed *b = make(8);
    (void)run(b, 28, 4, 0); /* has one page of seven */
    (void)wait(b, 8);
    b->in.max_tokens = 8;
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 1);
    unmake(b);
}

static void after_a_preemption_admission_waits_for_a_larger_reserve(void **state) {
    (void)state;
    bed *b = make(32);
    (void)run(b, 100, 99, 0); /* 25 pages; 7 are free */
    (void)wait(b, 20);        /* 5 */
    b->in.pressed = true;     /* reserve: 32/16 + 1 running */
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 1);
    assert_true(o->pressed);
    b->in.pressed = false;
    b->in.step = 2;
    assert_int_equal(decide(b)->n_choices, 2);
    unmake(b);
}

/* With a tree that holds the text of the last one waiting. */
static void a_longer_cached_prefix_overtakes_a_bounded_number_of_times(void **state) {
    (void)state;
    bed *b = make(PAGES);
    pgd_radix *tree = NULL;
    assert_int_equal(pgd_radix_create(&tree, b->pool, 4, 1, NULL), PGD_OK);
    pgd_seq *cold = wait(b, 8), *warm = wait(b, 9);
    uint32_t pages[2] = {pgd_page_pool_alloc(b->pool), pgd_page_pool_alloc(b->pool)}, lo = 9,
             hi = 0, node = PGD_NO_NODE;
    (void)pgd_radix_insert(tree, warm->job->req->cache_ns, seq_toks(warm), pages, 0, 2, 0, &node,
                           &lo, &hi);
    memset(b->tok[0], 0, sizeof b->tok[0]); /* the cold one shares nothing */
    b->in.tree = tree;
    b->in.max_seqs = 1;
    const sched_out *o = decide(b);
    assert_int_equal(o->n_choices, 1);
    expect(&o->choice[0], warm, 8, 1, 1);
    assert_int_equal(o->choice[0].n_tree_pages, 2);
    b->in.step = 2;
    cold->bypassed = 2; /* the bound */
    o = decide(b);
    assert_ptr_equal(o->choice[0].seq, cold);
    pgd_radix_destroy(&tree);
    unmake(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_and_a_prefill_chunk_share_one_step),
        cmocka_unit_test(a_prefill_gets_a_row_however_many_decode),
        cmocka_unit_test(what_is_in_flight_is_not_wanted_again),
        cmocka_unit_test(the_known_end_is_not_computed),
        cmocka_unit_test(the_least_important_is_preempted_and_nobody_admitted),
        cmocka_unit_test(pages_on_their_way_back_are_waited_for),
        cmocka_unit_test(a_more_important_one_is_never_preempted),
        cmocka_unit_test(a_chunk_shrinks_to_the_pages_there_are),
        cmocka_unit_test(admission_keeps_to_the_limits),
        cmocka_unit_test(the_head_of_the_line_is_not_skipped_for_a_smaller_one),
        cmocka_unit_test(what_running_prefills_still_need_is_not_given_away),
        cmocka_unit_test(after_a_preemption_admission_waits_for_a_larger_reserve),
        cmocka_unit_test(a_longer_cached_prefix_overtakes_a_bounded_number_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pgd_plan_check: a good plan passes, and every single wrong field is refused with its name. */
#include "harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum { ROOM = 16384 };

static const pgd_plan_limits limits = {.max_seqs = 4,
                                       .max_tokens = 32,
                                       .max_slots = 8,
                                       .max_pages_per_seq = 4,
                                       .page_tokens = 16,
                                       .n_pages = 20,
                                       .vocab_size = 100,
                                       .max_plan_bytes = ROOM};

static const int32_t ids_a[] = {1, 2, 3}, ids_c[] = {9, 8, 7, 6}, pages[] = {4, 5, 19};
static const int32_t history[] = {1, 2, 3, 99};
static const pgd_bias bias[] = {{7, 1.5F}, {99, -2}};

/* Three sequences: a scored chunk, a decode with a late id, a chunk that is scored and sampled. */
static uint32_t good_plan(void *out) {
    plan_writer w = {.step = 41};
    pgd_sampling s = greedy_sampling(3);
    s.n_stop_ids = 2;
    s.stop_ids[0] = 5;
    s.stop_ids[1] = 99;
    pgd_sampling warm = s;
    warm.flags = PGD_SAMPLE_PENALTIES;
    warm.temperature = 0.7F;
    warm.min_p = 0.1F;
    warm.presence_penalty = -1;
    pw_seq(&w, 2, ids_a, 3, 5, PGD_PLAN_SCORE, 17);
    pw_seq(&w, 7, NULL, 1, 40, PGD_PLAN_SAMPLE | PGD_PLAN_LATE_ID | PGD_PLAN_MASK, -1);
    pw_seq(&w, 0, ids_c, 4, 0, PGD_PLAN_SAMPLE | PGD_PLAN_SCORE, -1);
    pw_init(&w, 2, 9, &s, NULL, 0, NULL, 0);
    pw_init(&w, 0, 3, &warm, history, 4, bias, 2);
    pw_table(&w, 2, 0, pages, 1);
    pw_table(&w, 0, 1, pages, 3);
    pw_copy(&w, 3, 4, 16);
    pw_copy(&w, 3, 0, 1);
    return pw_write(&w, out, ROOM);
}

typedef union plan_buf {
    pgd_plan p;
    char bytes[ROOM];
    uint64_t align;
} plan_buf;

static void *at(plan_buf *b, uint32_t off) {
    return b->bytes + off;
}

static pgd_plan_seq *seq(plan_buf *b, uint32_t i) {
    return (pgd_plan_seq *)at(b, b->p.off_seq) + i;
}

static pgd_plan_init *init(plan_buf *b, uint32_t i) {
    return (pgd_plan_init *)at(b, b->p.off_init) + i;
}

static pgd_plan_table *table(plan_buf *b, uint32_t i) {
    return (pgd_plan_table *)at(b, b->p.off_table) + i;
}

static pgd_plan_copy *copy(plan_buf *b, uint32_t i) {
    return (pgd_plan_copy *)at(b, b->p.off_copy) + i;
}

/* --- one function per corruption; each leaves everything else valid -------------------------- */

#define CORRUPT(name, statement)                                                                   \
    static void name(plan_buf *b) {                                                                \
        statement;                                                                                 \
    }
CORRUPT(c_magic, b->p.magic++)
CORRUPT(c_version, b->p.version++)
CORRUPT(c_bytes, b->p.bytes += 8)
CORRUPT(c_n_seq_big, b->p.n_seq = 5)
CORRUPT(c_n_seq_huge, b->p.n_seq = UINT32_MAX)
CORRUPT(c_n_seq_less, b->p.n_seq--)
CORRUPT(c_n_tok, b->p.n_tok = 33)
CORRUPT(c_n_tok_less, b->p.n_tok--)
CORRUPT(c_n_tok_more, b->p.n_tok++)
CORRUPT(c_n_sample, b->p.n_sample++)
CORRUPT(c_n_score, b->p.n_score--)
CORRUPT(c_n_init, b->p.n_init = 1U << 31)
CORRUPT(c_n_table, b->p.n_table = UINT32_MAX)
CORRUPT(c_n_copy, b->p.n_copy = 1U << 30)
CORRUPT(c_off_seq, b->p.off_seq = 8)
CORRUPT(c_off_seq_odd, b->p.off_seq += 4)
CORRUPT(c_off_ids, b->p.off_ids = b->p.off_seq)
CORRUPT(c_off_init, b->p.off_init = UINT32_MAX & ~7U)
CORRUPT(c_off_table, b->p.off_table = b->p.bytes)
CORRUPT(c_off_copy, b->p.off_copy -= 8)
CORRUPT(c_off_aux, b->p.off_aux = b->p.bytes + 8)
CORRUPT(c_seq_slot, seq(b, 0)->slot = 8)
CORRUPT(c_seq_slot_twice, seq(b, 1)->slot = 2)
CORRUPT(c_seq_q_start, seq(b, 1)->q_start++)
CORRUPT(c_seq_n_new_0, seq(b, 1)->n_new = 0)
CORRUPT(c_seq_n_new_big, seq(b, 2)->n_new = UINT32_MAX)
CORRUPT(c_seq_kv_start, seq(b, 1)->kv_start = 64)
CORRUPT(c_seq_kv_start_wrap, seq(b, 1)->kv_start = UINT32_MAX)
CORRUPT(c_seq_flags, seq(b, 1)->flags |= 64)
CORRUPT(c_seq_score_next, seq(b, 0)->score_next = 100)
CORRUPT(c_seq_score_next_neg, seq(b, 0)->score_next = -2)
CORRUPT(c_seq_score_next_unscored, seq(b, 1)->score_next = 3)
CORRUPT(c_seq_score_and_sample, (seq(b, 2)->score_next = 3, b->p.n_score++))
CORRUPT(c_id_negative, ((int32_t *)at(b, b->p.off_ids))[1] = -1)
CORRUPT(c_id_big, ((int32_t *)at(b, b->p.off_ids))[7] = 100)
CORRUPT(c_late_id, ((int32_t *)at(b, b->p.off_ids))[3] = 4)
CORRUPT(c_init_slot, init(b, 1)->slot = 8)
CORRUPT(c_init_slot_twice, init(b, 1)->slot = 2)
CORRUPT(c_init_n_prompt, init(b, 0)->n_prompt = 65)
CORRUPT(c_init_n_history, init(b, 1)->n_history = 65)
CORRUPT(c_init_n_history_short, init(b, 1)->n_history = 2)
CORRUPT(c_init_off_history, init(b, 1)->off_history = b->p.bytes)
CORRUPT(c_init_off_history_low, init(b, 1)->off_history = b->p.off_seq)
CORRUPT(c_init_history_id, ((int32_t *)at(b, init(b, 1)->off_history))[2] = -5)
CORRUPT(c_init_n_bias, init(b, 1)->n_bias = PGD_MAX_BIAS + 1)
CORRUPT(c_init_off_bias, init(b, 1)->off_bias += 4)
CORRUPT(c_init_bias_id, ((pgd_bias *)at(b, init(b, 1)->off_bias))[1].id = 100)
CORRUPT(c_init_bias_nan, ((pgd_bias *)at(b, init(b, 1)->off_bias))[0].value = NAN)
CORRUPT(c_s_flags, init(b, 0)->sampling.flags |= 1U << 9)
CORRUPT(c_s_temperature, init(b, 1)->sampling.temperature = 0)
CORRUPT(c_s_temperature_inf, init(b, 1)->sampling.temperature = INFINITY)
CORRUPT(c_s_top_p, init(b, 1)->sampling.top_p = 0)
CORRUPT(c_s_top_p_nan, init(b, 1)->sampling.top_p = NAN)
CORRUPT(c_s_min_p, init(b, 1)->sampling.min_p = 1.5F)
CORRUPT(c_s_repetition, init(b, 1)->sampling.repetition_penalty = 0)
CORRUPT(c_s_presence, init(b, 1)->sampling.presence_penalty = NAN)
CORRUPT(c_s_frequency, init(b, 1)->sampling.frequency_penalty = INFINITY)
CORRUPT(c_s_n_top, init(b, 0)->sampling.n_top = PGD_MAX_TOP_LOGPROBS + 1)
CORRUPT(c_s_n_stop, init(b, 0)->sampling.n_stop_ids = PGD_MAX_STOP_IDS + 1)
CORRUPT(c_s_stop_id, init(b, 0)->sampling.stop_ids[1] = 100)
CORRUPT(c_table_slot, table(b, 0)->slot = 8)
CORRUPT(c_table_first, table(b, 1)->first = 2)
CORRUPT(c_table_first_wrap, table(b, 1)->first = UINT32_MAX)
CORRUPT(c_table_n, table(b, 0)->n = 5)
CORRUPT(c_table_off, table(b, 0)->off_pages = b->p.bytes + 8)
CORRUPT(c_table_off_odd, table(b, 0)->off_pages += 2)
CORRUPT(c_table_page, *(int32_t *)at(b, table(b, 1)->off_pages) = 20)
CORRUPT(c_table_page_neg, *(int32_t *)at(b, table(b, 1)->off_pages) = -1)
CORRUPT(c_n_mask, b->p.n_mask++)
CORRUPT(c_seq_hidden_without_score, seq(b, 1)->flags |= PGD_PLAN_HIDDEN)
CORRUPT(c_seq_mask_without_sample, seq(b, 0)->flags |= PGD_PLAN_MASK; b->p.n_mask++)
CORRUPT(c_copy_src, copy(b, 0)->src = 20)
CORRUPT(c_copy_dst, copy(b, 0)->dst = 20)
CORRUPT(c_copy_self, copy(b, 0)->dst = copy(b, 0)->src)
CORRUPT(c_copy_n, copy(b, 0)->n_tokens = 17)
CORRUPT(c_copy_none, copy(b, 1)->n_tokens = 0)
CORRUPT(c_copy_same_target, copy(b, 1)->dst = copy(b, 0)->dst)
CORRUPT(c_copy_chain, copy(b, 1)->src = copy(b, 0)->dst)
CORRUPT(c_copy_chain_back, copy(b, 1)->dst = copy(b, 0)->src; copy(b, 1)->src = 9)

#define CASE(name, text)                                                                           \
    { #name, name, text }
static const struct {
    const char *name;
    void (*corrupt)(plan_buf *b);
    const char *text; /* what the message must mention */
} cases[] = {
    CASE(c_magic, "magic"),
    CASE(c_version, "version"),
    CASE(c_bytes, "bytes"),
    CASE(c_n_seq_big, "n_seq"),
    CASE(c_n_seq_huge, "n_seq"),
    CASE(c_n_seq_less, "n_tok"),
    CASE(c_n_tok, "n_tok"),
    CASE(c_n_tok_less, "n_new"),
    CASE(c_n_tok_more, ""), /* its ids run into the next section */
    CASE(c_n_sample, "n_sample"),
    CASE(c_n_score, "n_score"),
    CASE(c_n_init, "off_init"),
    CASE(c_n_table, "off_table"),
    CASE(c_n_copy, "off_copy"),
    CASE(c_off_seq, "off_seq"),
    CASE(c_off_seq_odd, "off_seq"),
    CASE(c_off_ids, "off_ids"),
    CASE(c_off_init, "off_init"),
    CASE(c_off_table, "off_table"),
    CASE(c_off_copy, "off_copy"),
    CASE(c_off_aux, "off_aux"),
    CASE(c_seq_slot, "seq slot"),
    CASE(c_seq_slot_twice, "seq slot"),
    CASE(c_seq_q_start, "q_start"),
    CASE(c_seq_n_new_0, "n_new"),
    CASE(c_seq_n_new_big, "n_new"),
    CASE(c_seq_kv_start, "kv_start"),
    CASE(c_seq_kv_start_wrap, "kv_start"),
    CASE(c_seq_flags, "flags"),
    CASE(c_seq_hidden_without_score, "hidden states"),
    CASE(c_seq_score_next, "score_next"),
    CASE(c_seq_score_next_neg, "score_next"),
    CASE(c_seq_score_next_unscored, "score_next"),
    CASE(c_seq_score_and_sample, "score_next of a sampling row"),
    CASE(c_id_negative, "token id"),
    CASE(c_id_big, "token id"),
    CASE(c_late_id, "late id"),
    CASE(c_init_slot, "init slot"),
    CASE(c_init_slot_twice, "init slot"),
    CASE(c_init_n_prompt, "n_prompt"),
    CASE(c_init_n_history, "n_history"),
    CASE(c_init_n_history_short, "n_history"),
    CASE(c_init_off_history, "off_history"),
    CASE(c_init_off_history_low, "off_history"),
    CASE(c_init_history_id, "history id"),
    CASE(c_init_n_bias, "n_bias"),
    CASE(c_init_off_bias, "off_bias"),
    CASE(c_init_bias_id, "bias id"),
    CASE(c_init_bias_nan, "bias value"),
    CASE(c_s_flags, "sampling flags"),
    CASE(c_s_temperature, "temperature"),
    CASE(c_s_temperature_inf, "temperature"),
    CASE(c_s_top_p, "top_p"),
    CASE(c_s_top_p_nan, "top_p"),
    CASE(c_s_min_p, "min_p"),
    CASE(c_s_repetition, "penalty"),
    CASE(c_s_presence, "penalty"),
    CASE(c_s_frequency, "penalty"),
    CASE(c_s_n_top, "n_top"),
    CASE(c_s_n_stop, "n_stop_ids"),
    CASE(c_s_stop_id, "stop id"),
    CASE(c_table_slot, "table slot"),
    CASE(c_table_first, "table first"),
    CASE(c_table_first_wrap, "table first"),
    CASE(c_table_n, "table first"),
    CASE(c_table_off, "off_pages"),
    CASE(c_table_off_odd, "off_pages"),
    CASE(c_table_page, "table page"),
    CASE(c_table_page_neg, "table page"),
    CASE(c_n_mask, "n_mask"),
    CASE(c_seq_mask_without_sample, "mask without a sample"),
    CASE(c_copy_src, "copy src"),
    CASE(c_copy_dst, "copy dst"),
    CASE(c_copy_self, "copy dst"),
    CASE(c_copy_n, "copy n_tokens"),
    CASE(c_copy_none, "copy n_tokens"),
    CASE(c_copy_same_target, "copy dst of two copies"),
    CASE(c_copy_chain, "copy src is the dst of another copy"),
    CASE(c_copy_chain_back, "copy src is the dst of another copy"),
};

static void a_good_plan_passes(void **state) {
    (void)state;
    plan_buf b;
    pgd_error err = {0};
    const uint32_t n = good_plan(&b);
    if (pgd_plan_check(&b, n, &limits, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_int_equal(b.p.n_sample, 2);
    assert_int_equal(b.p.n_score, 3 + 3);
    assert_int_equal(b.p.n_mask, 1);
}

typedef struct late_buf {
    pgd_plan_late h;
    uint32_t row[4]; /* of 100 tokens */
} late_buf;

static void every_wrong_field_of_a_late_part_is_refused_with_its_name(void **state) {
    (void)state;
    static const char *const names[] = {"magic", "step",   "n_mask",  "n_words",
                                        "bytes", "allows", "past the"};
    plan_buf b;
    (void)good_plan(&b);
    for (uint32_t i = 0; i <= 7; i++) {
        late_buf l = {.h = {PGD_PLAN_LATE_MAGIC, sizeof l, 41, 1, 4}, .row = {0, 0, 0, 8}};
        pgd_error err = {0};
        l.h.magic += i == 0;
        l.h.step += i == 1;
        l.h.n_mask += i == 2;
        l.h.n_words -= i == 3;
        l.h.bytes += i == 4;
        if (i == 5) l.row[3] = 0;
        if (i == 6) l.row[3] = 1U << 4;
        const pgd_status s = pgd_plan_late_check(&b.p, &l, &limits, &err);
        assert_int_equal(s, i == 7 ? PGD_OK : PGD_E_INTERNAL);
        if (i < 7) assert_non_null(strstr(err.msg, names[i]));
    }
    assert_int_equal(pgd_plan_late_room(&limits), sizeof(pgd_plan_late) + 4 * 4 * 4);
}

static void an_empty_plan_passes(void **state) {
    (void)state;
    plan_buf b;
    plan_writer w = {0};
    pgd_error err = {0};
    const uint32_t n = pw_write(&w, &b, ROOM);
    if (pgd_plan_check(&b, n, &limits, &err) != PGD_OK) fail_msg("%s", err.msg);
}

/* Each wrong field is found even when the digest was computed over it. */
static void every_wrong_field_is_refused_with_its_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plan_buf b;
        pgd_error err = {0};
        const uint32_t n = good_plan(&b);
        cases[i].corrupt(&b);
        if (b.p.bytes <= ROOM) b.p.digest = pgd_plan_digest(&b.p);
        const pgd_status s = pgd_plan_check(&b, n, &limits, &err);
        if (s != PGD_E_INTERNAL || !strstr(err.msg, cases[i].text))
            fail_msg("%s: status %d, message '%s', expected '%s'", cases[i].name, (int)s, err.msg,
                     cases[i].text);
    }
}

static void a_plan_is_refused_when_short_unaligned_or_too_large(void **state) {
    (void)state;
    plan_buf b;
    pgd_plan_limits tight = limits;
    const uint32_t n = good_plan(&b);
    for (uint32_t short_by = 1; short_by <= n; short_by++)
        assert_int_equal(pgd_plan_check(&b, n - short_by, &limits, NULL), PGD_E_INTERNAL);
    assert_int_equal(pgd_plan_check(b.bytes + 4, n, &limits, NULL), PGD_E_INTERNAL);
    tight.max_plan_bytes = n - 8;
    assert_int_equal(pgd_plan_check(&b, n, &tight, NULL), PGD_E_INTERNAL);
}

static void any_flipped_bit_is_found(void **state) {
    (void)state;
    plan_buf b;
    const uint32_t n = good_plan(&b);
    for (uint32_t bit = 0; bit < 8 * n; bit++) {
        b.bytes[bit / 8] = (char)(b.bytes[bit / 8] ^ 1 << bit % 8);
        if (pgd_plan_check(&b, n, &limits, NULL) == PGD_OK) fail_msg("bit %u of %u", bit, 8 * n);
        b.bytes[bit / 8] = (char)(b.bytes[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(pgd_plan_check(&b, n, &limits, NULL), PGD_OK);
}

/* Random words with a right digest: whatever the check says, it reads inside the blob (sanitizers
 * watch), and what it accepts satisfies the sums. */
static void random_words_never_read_outside(void **state) {
    (void)state;
    uint64_t seed = 20240607, accepted = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    plan_buf good;
    const uint32_t n = good_plan(&good);
    plan_buf *b = pgd_aligned_alloc(n, 64);
    assert_non_null(b);
    for (int i = 0; i < 200000; i++) {
        memcpy(b, &good, n);
        const uint32_t changes = 1 + (uint32_t)(pgd_rng_next(&seed) % 3);
        for (uint32_t c = 0; c < changes; c++) {
            const uint64_t r = pgd_rng_next(&seed);
            const int32_t v = r & 1 ? (int32_t)(r >> 32) : (int32_t)(r >> 32) % 64;
            memcpy((char *)b + 4 * ((r >> 1) % (n / 4)), &v, 4);
        }
        if (b->p.bytes != n) continue;
        b->p.digest = pgd_plan_digest(&b->p);
        accepted += pgd_plan_check(b, n, &limits, NULL) == PGD_OK;
    }
    print_message("%llu accepted\n", (unsigned long long)accepted);
    assert_true(accepted > 0 && accepted < 190000);
    pgd_aligned_free(b, n);
}

/* What pgd_plan_room promises: every sequence decoding and one with all its lists at their largest.
 */
static void the_room_holds_one_sequence_at_its_largest(void **state) {
    (void)state;
    enum { CONTEXT = 2048, SEQS = 32 };
    static int32_t tokens[CONTEXT], page[CONTEXT / 16];
    static pgd_bias biases[PGD_MAX_BIAS];
    pgd_plan_limits lim = {.max_seqs = SEQS,
                           .max_tokens = 512,
                           .max_slots = 2 * SEQS,
                           .max_pages_per_seq = CONTEXT / 16,
                           .page_tokens = 16,
                           .n_pages = 4096,
                           .vocab_size = 100};
    lim.max_plan_bytes = (uint32_t)pgd_plan_room(&lim, CONTEXT);
    char *buf = pgd_aligned_alloc(lim.max_plan_bytes, 64);
    plan_writer w = {.step = 1};
    pgd_error err = {0};
    pgd_sampling s = greedy_sampling(0);
    s.flags |= PGD_SAMPLE_PENALTIES;
    assert_non_null(buf);
    for (uint32_t i = 0; i + 1 < SEQS; i++) {
        pw_seq(&w, i, NULL, 1, 7, PGD_PLAN_SAMPLE | PGD_PLAN_LATE_ID, -1);
        pw_init(&w, i, 3, &s, tokens, 100, NULL, 0);
        pw_table(&w, i, 0, page, 8);
        pw_copy(&w, 2 * i, 2 * i + 1, 16);
    }
    pw_seq(&w, SEQS, tokens, 512 - SEQS + 1, 0, PGD_PLAN_SCORE, 5);
    pw_init(&w, SEQS, CONTEXT, &s, tokens, CONTEXT, biases, PGD_MAX_BIAS);
    pw_table(&w, SEQS, 0, page, CONTEXT / 16);
    const uint32_t n = pw_write(&w, buf, lim.max_plan_bytes);
    if (pgd_plan_check(buf, n, &lim, &err) != PGD_OK) fail_msg("%s", err.msg);
    pgd_aligned_free(buf, lim.max_plan_bytes);
}

/* More pages than the marks of the check tell apart: pages that share a mark are no fault, and the
 * fault among them is found. */
static void pages_that_share_a_mark_are_told_apart(void **state) {
    (void)state;
    pgd_plan_limits lim = limits;
    lim.n_pages = 4 * PGD_PLAN_MAX_SLOTS;
    plan_buf b;
    plan_writer w = {.step = 1};
    pgd_error err = {0};
    for (uint32_t i = 0; i < 8; i++) /* targets 1, 3, 5...; sources are those of one round more */
        pw_copy(&w, PGD_PLAN_MAX_SLOTS + 2 * i + 1, 2 * i + 1, 16);
    pw_copy(&w, 0, 2 * PGD_PLAN_MAX_SLOTS + 3, 16);
    const uint32_t n = pw_write(&w, &b, ROOM);
    if (pgd_plan_check(&b, n, &lim, &err) != PGD_OK) fail_msg("%s", err.msg);
    copy(&b, 8)->src = 7;
    b.p.digest = pgd_plan_digest(&b.p);
    assert_int_equal(pgd_plan_check(&b, n, &lim, &err), PGD_E_INTERNAL);
    assert_non_null(strstr(err.msg, "copy src is the dst of another copy (item 8): got 7"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_plan_passes),
        cmocka_unit_test(an_empty_plan_passes),
        cmocka_unit_test(every_wrong_field_of_a_late_part_is_refused_with_its_name),
        cmocka_unit_test(every_wrong_field_is_refused_with_its_name),
        cmocka_unit_test(a_plan_is_refused_when_short_unaligned_or_too_large),
        cmocka_unit_test(any_flipped_bit_is_found),
        cmocka_unit_test(random_words_never_read_outside),
        cmocka_unit_test(pages_that_share_a_mark_are_told_apart),
        cmocka_unit_test(the_room_holds_one_sequence_at_its_largest),
    };
    return cmocka_run_group_tests_name("exec_plan", tests, NULL, NULL);
}

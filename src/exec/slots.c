/* Slots and step arrays.
 *
 * A slot is a row of device memory that keeps what a sequence needs between steps, so that the host
 * sends only changes; the step arrays spread a plan's few numbers per sequence over its rows, the
 * form kernels index. Late ids (the token that the step before sampled, unknown to the host when
 * the plan was written) are filled in after the upload, from the slots.
 *
 * The fill runs on the host: device memory is host memory on every backend that exists. A backend
 * with memory of its own fills them by an operation of its table. Thread: the rank's. */
#include "slots.h"

#include "pagoda/mem.h"

enum { IDS, POS, TOK_SEQ, ROW_TOK, ROW_SEQ, ROW_TARGET, N_ARRAYS };

pgd_status slots_create(pgd_slots *out, const pgd_plan_limits *lim, devmem *mem, pgd_error *err) {
    const uint64_t n = lim->max_slots;
    *out = (pgd_slots){.max_slots = lim->max_slots,
                       .max_pages = lim->max_pages_per_seq,
                       .vocab_size = lim->vocab_size};
    void *p = NULL;
    PGD_TRY(devmem_array(mem, "page tables", n * lim->max_pages_per_seq, sizeof(int32_t), &p, err));
    out->page_table = p;
    PGD_TRY(devmem_array(mem, "slots", n, sizeof(int32_t), &p, err));
    out->last_token = p;
    PGD_TRY(devmem_array(mem, "slots", n, sizeof(pgd_sampling), &p, err));
    out->sampling = p;
    PGD_TRY(devmem_array(mem, "slots", n, sizeof(uint32_t), &p, err));
    out->n_prompt = p;
    PGD_TRY(devmem_array(mem, "token counts", n * lim->vocab_size, sizeof(uint16_t), &p, err));
    out->counts = p;
    PGD_TRY(devmem_array(mem, "logit biases", n * PGD_MAX_BIAS, sizeof(pgd_bias), &p, err));
    out->bias = p;
    PGD_TRY(devmem_array(mem, "slots", n, sizeof(uint32_t), &p, err));
    out->n_bias = p;
    return PGD_OK;
}

uint64_t slots_bytes(const pgd_plan_limits *lim) {
    const uint64_t each = 4ULL * lim->max_pages_per_seq + 12 + sizeof(pgd_sampling) +
                          2ULL * lim->vocab_size + PGD_MAX_BIAS * sizeof(pgd_bias);
    return each * lim->max_slots;
}

pgd_status step_buffers_create(step_buffers *b, const pgd_plan_limits *lim, devmem *mem,
                               pgd_error *err) {
    void *p = NULL;
    *b = (step_buffers){.max_tokens = lim->max_tokens, .page_tokens = lim->page_tokens};
    b->host = pgd_calloc((size_t)N_ARRAYS * lim->max_tokens, sizeof *b->host);
    if (!b->host) return pgd_fail(err, PGD_E_NOMEM, "no memory for the arrays of a step");
    PGD_TRY(devmem_array(mem, "step arrays", (uint64_t)N_ARRAYS * lim->max_tokens, sizeof(int32_t),
                         &p, err));
    b->device = p;
    return PGD_OK;
}

void step_buffers_fini(step_buffers *b) {
    pgd_free(b->host);
    *b = (step_buffers){0};
}

static int32_t *host_array(const step_buffers *b, uint32_t which) {
    return b->host + (size_t)which * b->max_tokens;
}

static int32_t *device_array(const step_buffers *b, uint32_t which) {
    return b->device + (size_t)which * b->max_tokens;
}

/* Logits rows of sequence i: every row with a scored next token, and the last when it samples. */
static uint32_t fill_rows(const step_buffers *b, const pgd_plan_seq *s, uint32_t i,
                          const int32_t *ids, uint32_t n_rows) {
    int32_t *const tok = host_array(b, ROW_TOK), *const seq = host_array(b, ROW_SEQ);
    int32_t *const target = host_array(b, ROW_TARGET);
    const uint32_t last = s->n_new - 1;
    for (uint32_t j = s->flags & PGD_PLAN_SCORE ? 0 : last; j <= last; j++) {
        const bool samples = j == last && s->flags & PGD_PLAN_SAMPLE;
        const int32_t next = j < last ? ids[s->q_start + j + 1] : s->score_next;
        if (!samples && next < 0) continue;
        tok[n_rows] = (int32_t)(s->q_start + j);
        seq[n_rows] = (int32_t)i;
        target[n_rows] = samples ? -1 : next;
        n_rows++;
    }
    return n_rows;
}

pgd_status step_buffers_fill(step_buffers *b, pgd_device *dev, const pgd_plan *plan,
                             const pgd_slots *slots, pgd_step_view *out) {
    const pgd_plan_seq *const seq = (const void *)((const char *)plan + plan->off_seq);
    const int32_t *const ids = (const void *)((const char *)plan + plan->off_ids);
    int32_t *const pos = host_array(b, POS), *const tok_seq = host_array(b, TOK_SEQ);
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < plan->n_seq; i++) {
        for (uint32_t j = 0; j < seq[i].n_new; j++) {
            host_array(b, IDS)[seq[i].q_start + j] = ids[seq[i].q_start + j];
            pos[seq[i].q_start + j] = (int32_t)(seq[i].kv_start + j);
            tok_seq[seq[i].q_start + j] = (int32_t)i;
        }
        n_rows = fill_rows(b, &seq[i], i, ids, n_rows);
    }
    for (uint32_t a = 0; a < N_ARRAYS; a++)
        PGD_TRY(dev->upload(dev, device_array(b, a), host_array(b, a),
                            sizeof(int32_t) * (a < ROW_TOK ? plan->n_tok : n_rows)));
    for (uint32_t i = 0; i < plan->n_seq; i++)
        if (seq[i].flags & PGD_PLAN_LATE_ID)
            device_array(b, IDS)[seq[i].q_start] = slots->last_token[seq[i].slot];
    *out = (pgd_step_view){.n_tok = plan->n_tok,
                           .n_seq = plan->n_seq,
                           .n_rows = n_rows,
                           .seq = seq,
                           .ids = device_array(b, IDS),
                           .pos = device_array(b, POS),
                           .tok_seq = device_array(b, TOK_SEQ),
                           .row_tok = device_array(b, ROW_TOK),
                           .row_seq = device_array(b, ROW_SEQ),
                           .row_target = device_array(b, ROW_TARGET),
                           .slots = slots,
                           .page_tokens = b->page_tokens};
    return PGD_OK;
}

int32_t step_row_target(const step_buffers *b, uint32_t r) {
    return host_array(b, ROW_TARGET)[r];
}

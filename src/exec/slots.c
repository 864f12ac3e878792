/* Slots and step arrays.
 *
 * A slot is a row of device memory that keeps what a sequence needs between steps, so that the host
 * sends only changes; the step arrays spread a plan's few numbers per sequence over its rows, the
 * form kernels index. The device fills them (op step_fill), since a late id (the token that the
 * step before sampled) is known to it alone when the plan is written. Thread: the rank's. */
#include "slots.h"

enum { N_ARRAYS = 6 };

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
    const uint64_t n = lim->max_tokens;
    void *p = NULL;
    *b = (step_buffers){.page_tokens = lim->page_tokens};
    PGD_TRY(devmem_array(mem, "step arrays", lim->max_seqs, sizeof(pgd_plan_seq), &p, err));
    b->fill.seq = p;
    PGD_TRY(devmem_array(mem, "step arrays", N_ARRAYS * n, sizeof(int32_t), &p, err));
    int32_t **const array[N_ARRAYS] = {&b->fill.ids,     &b->fill.pos,     &b->fill.tok_seq,
                                       &b->fill.row_tok, &b->fill.row_seq, &b->fill.row_target};
    for (uint32_t i = 0; i < N_ARRAYS; i++)
        *array[i] = (int32_t *)p + i * n;
    PGD_TRY(devmem_array(mem, "results", lim->max_seqs, sizeof(pgd_sample_out), &p, err));
    b->sample = p;
    PGD_TRY(devmem_array(mem, "results", n, sizeof(pgd_score_out), &p, err));
    b->score = p;
    if (mem->dev->info.host_memory) return PGD_OK;
    PGD_TRY(devmem_array(mem, "masks", pgd_plan_late_room(lim), 1, &b->late, err));
    return devmem_array(mem, "step plan", lim->max_plan_bytes, 1, &b->plan, err);
}

uint64_t step_buffers_bytes(const pgd_plan_limits *lim, const pgd_device_info *dev) {
    return lim->max_seqs * (sizeof(pgd_plan_seq) + sizeof(pgd_sample_out)) +
           lim->max_tokens * (N_ARRAYS * sizeof(int32_t) + sizeof(pgd_score_out)) +
           (dev->host_memory ? 0 : lim->max_plan_bytes + pgd_plan_late_room(lim));
}

pgd_step_view step_view(const step_buffers *b, const pgd_slots *slots, uint32_t n_seq,
                        uint32_t n_tok, uint32_t n_rows) {
    const pgd_step_fill_args *const f = &b->fill;
    return (pgd_step_view){.n_tok = n_tok,
                           .n_seq = n_seq,
                           .n_rows = n_rows,
                           .seq = f->seq,
                           .ids = f->ids,
                           .pos = f->pos,
                           .tok_seq = f->tok_seq,
                           .row_tok = f->row_tok,
                           .row_seq = f->row_seq,
                           .row_target = f->row_target,
                           .slots = slots,
                           .page_tokens = b->page_tokens};
}

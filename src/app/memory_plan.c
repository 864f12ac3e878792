/* What the memory of a server is made of, in words.
 *
 * The numbers are the executor's (src/exec/sizing.c decides them); nothing is computed here but how
 * many sequences fit. Knows no device: an executor without memory of its own, the simulator, has
 * zeros and says so. Thread: any. */
#include "app/memory_plan.h"

static void put_size(pgd_buf *out, uint64_t bytes) {
    const double mib = (double)bytes / (1 << 20);
    if (bytes >= 1 << 30)
        pgd_buf_putf(out, "%.2f GiB", mib / 1024);
    else if (bytes >= 1 << 20)
        pgd_buf_putf(out, "%.1f MiB", mib);
    else
        pgd_buf_putf(out, "%.1f KiB", (double)bytes / 1024);
}

static void put_part(pgd_buf *out, const char *name, uint64_t bytes) {
    pgd_buf_putf(out, "%s ", name);
    put_size(out, bytes);
}

uint32_t pgd_memory_plan_sequences(const pgd_exec_info *i) {
    return i->limits.max_pages_per_seq ? i->limits.n_pages / i->limits.max_pages_per_seq : 0;
}

void pgd_memory_plan_put(const pgd_exec_info *i, bool graphs_known, pgd_buf *out) {
    const pgd_plan_limits *const l = &i->limits;
    put_part(out, "weights", i->weight_bytes);
    put_part(out, ", KV", i->kv_bytes);
    pgd_buf_putf(out, " (%u blocks of %u tokens, ", l->n_pages, l->page_tokens);
    put_size(out, l->n_pages ? i->kv_bytes / l->n_pages : 0);
    pgd_buf_puts(out, " each)");
    put_part(out, ", work space", i->workspace_bytes);
    if (!graphs_known)
        pgd_buf_puts(out, ", graphs measured at start");
    else if (i->graph_bytes)
        put_part(out, ", graphs", i->graph_bytes);
    else
        pgd_buf_puts(out, ", no graphs");
    put_part(out, ", staging", i->staging_bytes);
    pgd_buf_puts(out, i->host_memory ? "" : " on the host");
    if (i->mem_total) {
        put_part(out, "; free before loading", i->mem_free);
        put_part(out, " of", i->mem_total);
    }
    const uint32_t n = pgd_memory_plan_sequences(i);
    pgd_buf_putf(out, "; context %u tokens, room for %u sequence%s of full length",
                 i->max_model_len, n, n == 1 ? "" : "s");
}

void pgd_memory_plan_json(const pgd_exec_info *i, pgd_jsonw *w) {
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"weight_bytes", i->weight_bytes},
        {"kv_bytes", i->kv_bytes},
        {"kv_blocks", i->limits.n_pages},
        {"kv_block_tokens", i->limits.page_tokens},
        {"workspace_bytes", i->workspace_bytes},
        {"graph_bytes", i->graph_bytes},
        {"staging_bytes", i->staging_bytes},
        {"device_bytes_total", i->mem_total},
        {"device_bytes_free_before", i->mem_free},
        {"max_model_len", i->max_model_len},
        {"full_length_sequences", pgd_memory_plan_sequences(i)},
        {"max_num_seqs", i->limits.max_seqs},
        {"max_num_batched_tokens", i->limits.max_tokens},
        {"steps_in_flight", i->steps_in_flight},
    };
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "device");
    pgd_jsonw_cstr(w, i->device_name);
    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        pgd_jsonw_key(w, numbers[k].key);
        pgd_jsonw_u64(w, numbers[k].value);
    }
    pgd_jsonw_end_obj(w);
}

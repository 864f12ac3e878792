/* Opening model folders: slots of a good one, single file and sharded, and folders whose weights do
 * not fit their configuration. Folders are written to a temporary place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pagoda/mem.h"
#include "pagoda/model.h"
#include "pagoda/str.h"

/* 1 layer, d 8, 2 heads of 4, 1 kv head, ff 12, vocab 16. */
static const char config[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":16,\"hidden_size\":8,"
    "\"intermediate_size\":12,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"torch_dtype\":\"float32\"}";

typedef struct entry {
    const char *name, *dtype;
    uint32_t rows, cols; /* cols 0: a vector */
} entry;

static const entry base[] = {
    {"model.embed_tokens.weight", "F32", 16, 8},
    {"model.layers.0.input_layernorm.weight", "F32", 8, 0},
    {"model.layers.0.self_attn.q_proj.weight", "F32", 8, 8},
    {"model.layers.0.self_attn.k_proj.weight", "F32", 4, 8},
    {"model.layers.0.self_attn.v_proj.weight", "BF16", 4, 8},
    {"model.layers.0.self_attn.o_proj.weight", "F32", 8, 8},
    {"model.layers.0.post_attention_layernorm.weight", "F16", 8, 0},
    {"model.layers.0.mlp.gate_proj.weight", "F32", 12, 8},
    {"model.layers.0.mlp.up_proj.weight", "F32", 12, 8},
    {"model.layers.0.mlp.down_proj.weight", "F32", 8, 12},
    {"model.norm.weight", "F32", 8, 0},
    {"lm_head.weight", "F32", 16, 8},
};
enum { N_BASE = sizeof base / sizeof base[0], MAX_ENTRIES = N_BASE + 2 };

typedef struct folder {
    char path[64];
    entry e[MAX_ENTRIES];
    size_t n;
} folder;

static void folder_init(folder *f) {
    (void)snprintf(f->path, sizeof f->path, "/tmp/pagoda-test-model-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    memcpy(f->e, base, sizeof base);
    f->n = N_BASE;
}

static void file_path(const folder *f, const char *name, char out[256]) {
    (void)snprintf(out, 256, "%s/%s", f->path, name);
}

static void write_file(const folder *f, const char *name, const void *data, size_t n) {
    char path[256];
    file_path(f, name, path);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void remove_folder(const folder *f) {
    static const char *const names[] = {"config.json",       "generation_config.json",
                                        "model.safetensors", "model.safetensors.index.json",
                                        "a.safetensors",     "b.safetensors",
                                        "pytorch_model.bin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[256];
        file_path(f, names[i], path);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->path), 0);
}

/* Entries [from, to) as a safetensors file; the bytes of entry i are all i + 1. The header is
 * followed by `pad` spaces, which shifts the alignment of the data. */
static void write_weights(const folder *f, const char *name, size_t from, size_t to, int pad) {
    pgd_buf b = {0};
    size_t at = 0;
    for (int i = 0; i < 8; i++)
        pgd_buf_putc(&b, 0);
    for (size_t i = from; i < to; i++) {
        const entry *e = &f->e[i];
        const size_t elem = e->dtype[0] == 'I' ? 8 : strcmp(e->dtype, "F32") == 0 ? 4 : 2;
        const size_t bytes = elem * e->rows * (e->cols ? e->cols : 1);
        pgd_buf_putf(&b, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%u", i == from ? '{' : ',', e->name,
                     e->dtype, e->rows);
        if (e->cols) pgd_buf_putf(&b, ",%u", e->cols);
        pgd_buf_putf(&b, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    pgd_buf_putc(&b, '}');
    while ((b.n + (size_t)pad) % 8)
        pgd_buf_putc(&b, ' ');
    for (int i = 0; i < 8; i++)
        b.p[i] = (char)((b.n - 8) >> 8 * i);
    for (size_t i = from; i < to; i++) {
        const entry *e = &f->e[i];
        const size_t elem = e->dtype[0] == 'I' ? 8 : strcmp(e->dtype, "F32") == 0 ? 4 : 2;
        for (size_t j = 0; j < elem * e->rows * (e->cols ? e->cols : 1); j++)
            pgd_buf_putc(&b, (char)(i + 1));
    }
    assert_false(b.failed);
    write_file(f, name, b.p, b.n);
    pgd_buf_fini(&b);
}

static void write_all(folder *f, const char *cfg) {
    write_file(f, "config.json", cfg, strlen(cfg));
    write_weights(f, "model.safetensors", 0, f->n, 0);
}

static void expect_refusal(const folder *f, pgd_status status, const char *text) {
    pgd_model *m = NULL;
    pgd_error err = {0};
    assert_int_equal(pgd_model_open(f->path, 0, &m, &err), status);
    assert_null(m);
    if (!strstr(err.msg, text) || !strstr(err.msg, f->path))
        fail_msg("'%s' does not mention '%s' in %s", err.msg, text, f->path);
}

static pgd_model *open_good(const folder *f, unsigned flags) {
    pgd_model *m = NULL;
    pgd_error err = {0};
    if (pgd_model_open(f->path, flags, &m, &err) != PGD_OK) fail_msg("%s", err.msg);
    return m;
}

static void check_slots(const pgd_model *m) {
    pgd_slot_parts s;
    pgd_model_slot(m, PGD_W_QKV, 0, &s);
    assert_int_equal(s.n_parts, 3);
    assert_int_equal(s.part[0].shape[0], 8);
    assert_int_equal(s.part[2].shape[0], 4);
    assert_int_equal(s.part[2].dtype, PGD_BF16);
    assert_int_equal(*(const uint8_t *)s.part[0].data, 3);
    assert_int_equal(*(const uint8_t *)s.part[2].data, 5);
    pgd_model_slot(m, PGD_W_GATE_UP, 0, &s);
    assert_int_equal(s.n_parts, 2);
    assert_int_equal(*(const uint8_t *)s.part[1].data, 9);
    pgd_model_slot(m, PGD_W_FFN_NORM, 0, &s);
    assert_int_equal(s.part[0].ndim, 1);
    assert_int_equal(s.part[0].dtype, PGD_F16);
    pgd_model_slot(m, PGD_W_LM_HEAD, 0, &s);
    assert_int_equal(*(const uint8_t *)s.part[0].data, 12);
    assert_false(pgd_model_has_slot(m, PGD_W_QKV_BIAS));
    assert_false(pgd_model_has_slot(m, PGD_W_Q_NORM));
    assert_true(pgd_model_has_slot(m, PGD_W_DOWN));
}

static void every_slot_of_a_single_file_is_found(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    write_all(&f, config);
    pgd_model *m = open_good(&f, 0);
    check_slots(m);
    assert_int_equal(pgd_model_weight_bytes(m),
                     4 * (16 * 8 * 2 + 8 * 2 + 8 * 8 * 2 + 4 * 8 + 12 * 8 * 3) + 2 * (4 * 8 + 8));
    pgd_model_close(&m);
    assert_null(m);
    remove_folder(&f);
}

static void data_at_an_odd_address_is_a_view_too(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    write_file(&f, "config.json", config, strlen(config));
    write_weights(&f, "model.safetensors", 0, f.n, 5);
    pgd_model *m = open_good(&f, 0);
    pgd_slot_parts s;
    pgd_model_slot(m, PGD_W_EMBED, 0, &s);
    assert_true((uintptr_t)s.part[0].data % 4 != 0);
    check_slots(m);
    pgd_model_close(&m);
    remove_folder(&f);
}

static void write_index(const folder *f, const char *second_file) {
    pgd_buf b = {0};
    pgd_buf_puts(&b, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (size_t i = 0; i < f->n; i++)
        pgd_buf_putf(&b, "%s\"%s\":\"%s\"", i ? "," : "", f->e[i].name,
                     i < 5 ? "a.safetensors" : second_file);
    pgd_buf_puts(&b, "}}");
    write_file(f, "model.safetensors.index.json", b.p, b.n);
    pgd_buf_fini(&b);
}

static void shards_are_found_through_the_index(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    write_file(&f, "config.json", config, strlen(config));
    write_weights(&f, "a.safetensors", 0, 5, 0);
    write_weights(&f, "b.safetensors", 5, f.n, 0);
    write_index(&f, "b.safetensors");
    pgd_model *m = open_good(&f, 0);
    check_slots(m);
    pgd_model_close(&m);
    remove_folder(&f);
}

static void a_bad_index_is_refused(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    write_file(&f, "config.json", config, strlen(config));
    write_weights(&f, "a.safetensors", 0, 5, 0);
    write_index(&f, "b.safetensors");
    expect_refusal(&f, PGD_E_NOT_FOUND, "b.safetensors");
    write_weights(&f, "b.safetensors", 5, f.n - 1, 0);
    expect_refusal(&f, PGD_E_FORMAT, "'lm_head.weight' is missing");
    write_index(&f, "../b.safetensors");
    expect_refusal(&f, PGD_E_FORMAT, "no plain *.safetensors file");
    write_index(&f, "/etc/passwd");
    expect_refusal(&f, PGD_E_FORMAT, "no plain *.safetensors file");
    write_index(&f, ".safetensors");
    expect_refusal(&f, PGD_E_FORMAT, "no plain *.safetensors file");
    static const char *const bad[] = {"{}", "{\"weight_map\":{}}", "{\"weight_map\":[]}", "{"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(&f, "model.safetensors.index.json", bad[i], strlen(bad[i]));
        expect_refusal(&f, PGD_E_FORMAT, "model.safetensors.index.json");
    }
    static const char twice[] =
        "{\"weight_map\":{\"a\":\"a.safetensors\",\"a\":\"a.safetensors\"}}";
    write_file(&f, "model.safetensors.index.json", twice, strlen(twice));
    expect_refusal(&f, PGD_E_FORMAT, "twice");
    remove_folder(&f);
}

static void weights_that_do_not_fit_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < N_BASE; i++) {
        folder f;
        folder_init(&f);
        f.e[i].name = "model.other";
        write_all(&f, config);
        expect_refusal(&f, PGD_E_FORMAT, base[i].name);
        f.e[i] = base[i];
        f.e[i].rows++;
        write_all(&f, config);
        expect_refusal(&f, PGD_E_FORMAT, "config.json makes it");
        f.e[i] = base[i];
        f.e[i].dtype = "I64";
        write_all(&f, config);
        expect_refusal(&f, PGD_E_UNSUPPORTED, "has dtype I64, expected BF16, F16 or F32");
        remove_folder(&f);
    }
}

static void tensors_that_the_configuration_does_not_know_are_refused(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    f.e[f.n++] = (entry){"model.layers.0.self_attn.q_proj.bias", "F32", 8, 0};
    write_all(&f, config);
    expect_refusal(&f, PGD_E_UNSUPPORTED, "'model.layers.0.self_attn.q_proj.bias' is not part");
    f.e[f.n - 1].name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    write_all(&f, config);
    pgd_model *m = open_good(&f, 0);
    pgd_model_close(&m);
    remove_folder(&f);
}

static void a_tied_head_is_the_embedding(void **state) {
    (void)state;
    folder f;
    char cfg[512];
    folder_init(&f);
    (void)snprintf(cfg, sizeof cfg, "%.*s,\"tie_word_embeddings\":true}", (int)sizeof config - 2,
                   config);
    for (f.n = N_BASE; f.n >= N_BASE - 1; f.n--) { /* with and without a redundant lm_head */
        pgd_slot_parts embed, head;
        write_all(&f, cfg);
        pgd_model *m = open_good(&f, 0);
        pgd_model_slot(m, PGD_W_EMBED, 0, &embed);
        pgd_model_slot(m, PGD_W_LM_HEAD, 0, &head);
        assert_ptr_equal(embed.part[0].data, head.part[0].data);
        pgd_model_close(&m);
    }
    remove_folder(&f);
}

static void missing_and_foreign_files_are_named(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    expect_refusal(&f, PGD_E_NOT_FOUND, "config.json");
    write_file(&f, "config.json", config, strlen(config));
    expect_refusal(&f, PGD_E_NOT_FOUND, "neither model.safetensors nor");
    write_file(&f, "pytorch_model.bin", "x", 1);
    expect_refusal(&f, PGD_E_UNSUPPORTED, "convert the model to safetensors");
    write_file(&f, "model.safetensors", "short", 5);
    expect_refusal(&f, PGD_E_FORMAT, "model.safetensors");
    write_weights(&f, "model.safetensors", 0, f.n, 0);
    write_file(&f, "generation_config.json", "{\"top_p\":7}", 11);
    expect_refusal(&f, PGD_E_FORMAT, "generation_config.json: field 'top_p' is 7");
    write_file(&f, "generation_config.json", "{\"eos_token_id\":[2,9]}", 22);
    pgd_model *m = open_good(&f, 0);
    assert_int_equal(pgd_model_get_spec(m)->n_eos, 2);
    assert_int_equal(pgd_model_get_spec(m)->eos_ids[1], 9);
    pgd_model_close(&m);
    remove_folder(&f);
    expect_refusal(&f, PGD_E_NOT_FOUND, "no such folder");
}

static void dummy_weights_need_only_a_configuration(void **state) {
    (void)state;
    folder f;
    pgd_slot_parts s;
    folder_init(&f);
    write_file(&f, "config.json", config, strlen(config));
    pgd_model *m = open_good(&f, PGD_MODEL_DUMMY_WEIGHTS);
    pgd_model_slot(m, PGD_W_GATE_UP, 0, &s);
    assert_int_equal(s.n_parts, 2);
    assert_null(s.part[0].data);
    assert_int_equal(s.part[0].shape[0], 12);
    assert_int_equal(s.part[0].dtype, PGD_F32);
    pgd_model_close(&m);
    remove_folder(&f);
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    folder f;
    folder_init(&f);
    write_file(&f, "config.json", config, strlen(config));
    write_weights(&f, "a.safetensors", 0, 5, 0);
    write_weights(&f, "b.safetensors", 5, f.n, 0);
    write_index(&f, "b.safetensors");
    pgd_model *m = NULL;
    int64_t n = 0;
    for (;; n++) {
        pgd_error err = {0};
        (void)pgd_mem_fail_after(n);
        const pgd_status s = pgd_model_open(f.path, 0, &m, &err);
        (void)pgd_mem_fail_after(-1);
        if (s == PGD_OK) break;
        assert_int_equal(s, PGD_E_NOMEM);
        assert_null(m);
    }
    print_message("%lld allocations failed in turn\n", (long long)n);
    pgd_model_close(&m);
    remove_folder(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_of_a_single_file_is_found),
        cmocka_unit_test(data_at_an_odd_address_is_a_view_too),
        cmocka_unit_test(shards_are_found_through_the_index),
        cmocka_unit_test(a_bad_index_is_refused),
        cmocka_unit_test(weights_that_do_not_fit_are_refused),
        cmocka_unit_test(tensors_that_the_configuration_does_not_know_are_refused),
        cmocka_unit_test(a_tied_head_is_the_embedding),
        cmocka_unit_test(missing_and_foreign_files_are_named),
        cmocka_unit_test(dummy_weights_need_only_a_configuration),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("model_model", tests, NULL, NULL);
}

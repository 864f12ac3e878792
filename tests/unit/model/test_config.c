/* config.json and generation_config.json of the families, in the spellings found in the wild, and
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/model.h"
#include "pagoda/str.h"

#define SHAPE                                                                                      \
    "\"vocab_size\":32000,\"hidden_size\":256,\"intermediate_size\":512,"                          \
    "\"num_hidden_layers\":4,\"num_attention_heads\":8"
#define LLAMA "{\"architectures\":[\"LlamaForCausalLM\"]," SHAPE
#define MISTRAL "{\"architectures\":[\"MistralForCausalLM\"]," SHAPE
#define QWEN2 "{\"architectures\":[\"Qwen2ForCausalLM\"]," SHAPE
#define QWEN3 "{\"architectures\":[\"Qwen3ForCausalLM\"]," SHAPE

static pgd_model_spec parse(const char *text) {
    pgd_model_spec s;
    pgd_error err = {0};
    if (pgd_model_spec_parse(text, strlen(text), &s, &err) != PGD_OK)
        fail_msg("%s\n%s", text, err.msg);
    return s;
}

static void defaults_are_those_of_the_family(void **state) {
    (void)state;
    pgd_model_spec s = parse(LLAMA "}");
    assert_string_equal(s.architecture, "LlamaForCausalLM");
    assert_int_equal(s.dtype, PGD_DTYPE_N);
    assert_int_equal(s.n_kv_heads, 8);
    assert_int_equal(s.head_dim, 32);
    assert_int_equal(s.max_position, 2048);
    assert_int_equal(s.bos_id, 1);
    assert_int_equal(s.n_eos, 1);
    assert_int_equal(s.eos_ids[0], 2);
    assert_true(s.rms_eps > 0.9e-6 && s.rms_eps < 1.1e-6);
    assert_true(s.rope.theta > 9999 && s.rope.theta < 10001);
    assert_false(s.qkv_bias || s.o_bias || s.mlp_bias || s.qk_norm || s.tied_embeddings);
    assert_int_equal(s.sliding_window, 0);
    s = parse(MISTRAL "}");
    assert_int_equal(s.n_kv_heads, 8);
    assert_int_equal(s.sliding_window, 4096);
    assert_int_equal(s.window_to_layer, 4);
    s = parse(QWEN2 "}");
    assert_true(s.qkv_bias && !s.o_bias && !s.qk_norm);
    assert_int_equal(s.bos_id, -1);
    assert_int_equal(s.n_eos, 0);
    s = parse(QWEN3 "}");
    assert_true(s.qk_norm && !s.qkv_bias);
    assert_int_equal(s.head_dim, 128);
    s = parse("{\"model_type\":\"qwen2\"," SHAPE "}");
    assert_string_equal(s.architecture, "Qwen2ForCausalLM");
}

static void fields_are_read(void **state) {
    (void)state;
    const pgd_model_spec s = parse(
        LLAMA
        ",\"num_key_value_heads\":2,\"head_dim\":64,\"attention_bias\":true,\"mlp_bias\":true,"
        "\"tie_word_embeddings\":true,\"hidden_act\":\"gelu_pytorch_tanh\","
        "\"rms_norm_eps\":1e-5,\"max_position_embeddings\":8192,\"torch_dtype\":\"bfloat16\","
        "\"bos_token_id\":100,\"eos_token_id\":[5,6,5],\"rope_theta\":500000.0,"
        "\"num_experts\":null,\"quantization_config\":null,\"logit_scale\":1.0,"
        "\"pretraining_tp\":1,\"something_else\":[1,2]}");
    assert_int_equal(s.n_kv_heads, 2);
    assert_int_equal(s.head_dim, 64);
    assert_int_equal(s.rope.rotary_dim, 64);
    assert_true(s.qkv_bias && s.o_bias && s.mlp_bias && s.tied_embeddings);
    assert_int_equal(s.act, PGD_ACT_GELU_TANH);
    assert_int_equal(s.max_position, 8192);
    assert_int_equal(s.dtype, PGD_BF16);
    assert_int_equal(s.bos_id, 100);
    assert_int_equal(s.n_eos, 2);
    assert_int_equal(s.eos_ids[1], 6);
    assert_int_equal(parse(LLAMA ",\"dtype\":\"float16\"}").dtype, PGD_F16);
    assert_int_equal(parse(LLAMA ",\"torch_dtype\":\"torch.float32\"}").dtype, PGD_F32);
    assert_int_equal(parse(LLAMA ",\"eos_token_id\":null}").n_eos, 0);
    assert_int_equal(parse(LLAMA ",\"eos_token_id\":-1,\"bos_token_id\":-1}").bos_id, -1);
}

static void sliding_windows_cover_the_right_layers(void **state) {
    (void)state;
    pgd_model_spec s = parse(MISTRAL ",\"sliding_window\":null}");
    assert_int_equal(s.sliding_window, 0);
    s = parse(MISTRAL ",\"sliding_window\":1024}");
    assert_int_equal(s.sliding_window, 1024);
    assert_int_equal(s.window_from_layer, 0);
    assert_int_equal(s.window_to_layer, 4);
    s = parse(QWEN2 ",\"sliding_window\":1024,\"max_window_layers\":3}");
    assert_int_equal(s.sliding_window, 0);
    s = parse(QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":64,\"max_window_layers\":3}");
    assert_int_equal(s.sliding_window, 64);
    assert_int_equal(s.window_from_layer, 3);
    assert_int_equal(s.window_to_layer, 4);
    s = parse(QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":64,\"max_window_layers\":28}");
    assert_int_equal(s.sliding_window, 0);
    s = parse(QWEN3 ",\"use_sliding_window\":true,\"sliding_window\":64,\"layer_types\":["
                    "\"sliding_attention\",\"sliding_attention\",\"full_attention\","
                    "\"full_attention\"]}");
    assert_int_equal(s.sliding_window, 64);
    assert_int_equal(s.window_from_layer, 0);
    assert_int_equal(s.window_to_layer, 2);
}

static void both_spellings_of_rope_scaling_are_read(void **state) {
    (void)state;
    pgd_model_spec s = parse(LLAMA ",\"max_position_embeddings\":131072,\"rope_theta\":5e5,"
                                   "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
                                   "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                                   "\"original_max_position_embeddings\":8192}}");
    assert_int_equal(s.rope.kind, PGD_ROPE_LLAMA3);
    assert_int_equal(s.rope.original_max_position, 8192);
    assert_int_equal(s.max_position, 131072);
    s = parse(QWEN2
              ",\"max_position_embeddings\":32768,\"rope_parameters\":{\"rope_type\":\"yarn\","
              "\"rope_theta\":1e6,\"factor\":4.0,"
              "\"original_max_position_embeddings\":32768}}");
    assert_int_equal(s.rope.kind, PGD_ROPE_YARN);
    assert_true(s.rope.theta > 999999 && s.rope.theta < 1000001);
    assert_true(s.rope.attention_factor > 1.1386 && s.rope.attention_factor < 1.1387);
    assert_int_equal(s.max_position, 131072);
    s = parse(LLAMA ",\"max_position_embeddings\":4096,\"rope_scaling\":{\"type\":\"dynamic\","
                    "\"factor\":2.0}}");
    assert_int_equal(s.rope.kind, PGD_ROPE_DYNAMIC);
    assert_int_equal(s.rope.original_max_position, 4096);
    assert_int_equal(s.max_position, 8192);
    s = parse(LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}");
    assert_int_equal(s.rope.kind, PGD_ROPE_LINEAR);
    assert_int_equal(s.max_position, 4096);
    assert_int_equal(parse(LLAMA ",\"rope_scaling\":null}").rope.kind, PGD_ROPE_DEFAULT);
}

static const struct {
    const char *config;
    pgd_status status;
    const char *text;
} refusals[] = {
    {"[]", PGD_E_FORMAT, "expected an object"},
    {"{", PGD_E_FORMAT, "config.json"},
    {"{" SHAPE "}", PGD_E_FORMAT, "neither 'architectures' nor 'model_type'"},
    {"{\"architectures\":[\"GPT2LMHeadModel\"]," SHAPE "}", PGD_E_UNSUPPORTED,
     "names \"GPT2LMHeadModel\", expected LlamaForCausalLM"},
    {"{\"architectures\":[\"LlamaForCausalLM\",\"X\"]," SHAPE "}", PGD_E_FORMAT, "architectures"},
    {"{\"architectures\":7," SHAPE "}", PGD_E_FORMAT, "'architectures' is 7"},
    {"{\"model_type\":\"gemma\"," SHAPE "}", PGD_E_UNSUPPORTED, "\"gemma\""},
    {"{\"model_type\":\"llama\",\"vocab_size\":10}", PGD_E_FORMAT, "'hidden_size' is missing"},
    {LLAMA ",\"vocab_size\":0}", PGD_E_FORMAT, "'vocab_size' is 0, expected an integer from 1"},
    {LLAMA ",\"hidden_size\":\"big\"}", PGD_E_FORMAT, "'hidden_size' is \"big\""},
    {LLAMA ",\"hidden_size\":1e30}", PGD_E_FORMAT, "'hidden_size'"},
    {LLAMA ",\"num_hidden_layers\":-3}", PGD_E_FORMAT, "'num_hidden_layers' is -3"},
    {LLAMA ",\"num_hidden_layers\":2.5}", PGD_E_FORMAT, "'num_hidden_layers' is 2.5"},
    {LLAMA ",\"num_key_value_heads\":3}", PGD_E_FORMAT, "a multiple of num_key_value_heads"},
    {LLAMA ",\"num_attention_heads\":7}", PGD_E_FORMAT, "without head_dim"},
    {LLAMA ",\"head_dim\":33}", PGD_E_UNSUPPORTED, "even number"},
    {LLAMA ",\"rms_norm_eps\":-1}", PGD_E_FORMAT, "'rms_norm_eps'"},
    {LLAMA ",\"rms_norm_eps\":true}", PGD_E_FORMAT, "'rms_norm_eps' is true"},
    {LLAMA ",\"hidden_act\":\"relu\"}", PGD_E_UNSUPPORTED, "'hidden_act' is \"relu\""},
    {LLAMA ",\"torch_dtype\":\"int8\"}", PGD_E_UNSUPPORTED, "'torch_dtype' is \"int8\""},
    {LLAMA ",\"tie_word_embeddings\":\"yes\"}", PGD_E_FORMAT, "true or false"},
    {LLAMA ",\"eos_token_id\":32000}", PGD_E_FORMAT, "'eos_token_id' holds 32000"},
    {LLAMA ",\"eos_token_id\":[1,\"x\"]}", PGD_E_FORMAT, "'eos_token_id' holds \"x\""},
    {LLAMA ",\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", PGD_E_LIMIT, "16"},
    {LLAMA ",\"quantization_config\":{\"bits\":4}}", PGD_E_UNSUPPORTED, "'quantization_config'"},
    {LLAMA ",\"num_local_experts\":8}", PGD_E_UNSUPPORTED, "'num_local_experts' is 8"},
    {LLAMA ",\"final_logit_softcapping\":30.0}", PGD_E_UNSUPPORTED, "no soft-capping"},
    {LLAMA ",\"logits_scaling\":8}", PGD_E_UNSUPPORTED, "'logits_scaling' is 8, expected 1"},
    {LLAMA ",\"alibi\":true}", PGD_E_UNSUPPORTED, "'alibi' is true"},
    {LLAMA ",\"vision_config\":{}}", PGD_E_UNSUPPORTED, "'vision_config'"},
    {LLAMA ",\"rope_scaling\":3}", PGD_E_FORMAT, "'rope_scaling' is 3"},
    {LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"factor\":2}}", PGD_E_UNSUPPORTED,
     "'rope_scaling.type' is \"longrope\", expected default, linear"},
    {LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", PGD_E_FORMAT, "'rope_scaling.factor'"},
    {LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", PGD_E_FORMAT, "is 0.5"},
    {LLAMA ",\"rope_scaling\":{\"type\":\"default\",\"mrope_section\":[1]}}", PGD_E_UNSUPPORTED,
     "mrope_section"},
    {LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}", PGD_E_FORMAT,
     "low_freq_factor"},
    {LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
           "\"high_freq_factor\":4}}",
     PGD_E_FORMAT, "more than low_freq_factor"},
    {LLAMA ",\"rope_parameters\":{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}}",
     PGD_E_UNSUPPORTED, "'rope_parameters.partial_rotary_factor' is 0.5"},
    {LLAMA ",\"partial_rotary_factor\":0.25}", PGD_E_UNSUPPORTED, "partial_rotary_factor"},
    {LLAMA ",\"rope_theta\":0}", PGD_E_FORMAT, "'rope_theta' is 0"},
    {LLAMA ",\"max_position_embeddings\":100000000,\"rope_scaling\":{\"type\":\"linear\","
           "\"factor\":100}}",
     PGD_E_UNSUPPORTED, "stretches the context"},
    {QWEN2 ",\"layer_types\":[\"full_attention\"]}", PGD_E_FORMAT, "one name per layer"},
    {QWEN2 ",\"layer_types\":[\"full_attention\",\"linear_attention\",\"full_attention\","
           "\"full_attention\"]}",
     PGD_E_UNSUPPORTED, "linear_attention"},
    {QWEN2 ",\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\","
           "\"full_attention\",\"sliding_attention\",\"full_attention\"]}",
     PGD_E_UNSUPPORTED, "alternates"},
    {MISTRAL ",\"sliding_window\":0}", PGD_E_FORMAT, "'sliding_window' is 0"},
};

static void what_is_not_supported_is_refused_by_field(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        pgd_model_spec s;
        pgd_error err = {0};
        const char *c = refusals[i].config;
        const pgd_status st = pgd_model_spec_parse(c, strlen(c), &s, &err);
        if (st != refusals[i].status || !strstr(err.msg, refusals[i].text) ||
            !strstr(err.msg, "config.json"))
            fail_msg("%s\nstatus %d, '%s', expected '%s'", c, (int)st, err.msg, refusals[i].text);
    }
}

static pgd_generation_config generation(const char *text, pgd_model_spec *s) {
    pgd_generation_config g;
    pgd_error err = {0};
    if (pgd_generation_parse(text, strlen(text), s, &g, &err) != PGD_OK)
        fail_msg("%s\n%s", text, err.msg);
    return g;
}

static void generation_defaults_are_read(void **state) {
    (void)state;
    pgd_model_spec s = parse(QWEN2 ",\"eos_token_id\":7}");
    pgd_generation_config g = generation(
        "{\"bos_token_id\":3,\"eos_token_id\":[7,9],\"do_sample\":true,\"temperature\":0.6,"
        "\"top_p\":0.95,\"top_k\":20,\"min_p\":0.0,\"repetition_penalty\":1.05,"
        "\"max_new_tokens\":2048,\"num_beams\":1,\"transformers_version\":\"4.51.0\"}",
        &s);
    assert_true(g.has_temperature && g.has_top_p && g.has_top_k && g.has_min_p &&
                g.has_repetition_penalty && g.has_max_new_tokens && g.do_sample);
    assert_true(g.temperature > 0.59 && g.temperature < 0.61);
    assert_int_equal(g.top_k, 20);
    assert_int_equal(g.max_new_tokens, 2048);
    assert_int_equal(s.bos_id, 3);
    assert_int_equal(s.n_eos, 2);
    assert_int_equal(s.eos_ids[0], 7);
    assert_int_equal(s.eos_ids[1], 9);
    g = generation("", &s);
    assert_true(g.do_sample && !g.has_temperature && !g.has_top_k);
    g = generation("{\"do_sample\":false,\"temperature\":null}", &s);
    assert_false(g.do_sample || g.has_temperature);
}

static void generation_values_out_of_range_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *field;
    } bad[] = {
        {"{\"temperature\":-1}", "'temperature' is -1"},
        {"{\"temperature\":\"hot\"}", "'temperature' is \"hot\""},
        {"{\"top_p\":0}", "'top_p' is 0"},
        {"{\"top_p\":1.5}", "'top_p' is 1.5"},
        {"{\"top_k\":-1}", "'top_k' is -1"},
        {"{\"min_p\":2}", "'min_p' is 2"},
        {"{\"repetition_penalty\":0}", "'repetition_penalty' is 0"},
        {"{\"max_new_tokens\":0}", "'max_new_tokens' is 0"},
        {"{\"do_sample\":1}", "'do_sample' is 1"},
        {"{\"eos_token_id\":99999}", "'eos_token_id' holds 99999"},
        {"[1]", "expected an object"},
        {"{", "generation_config.json"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pgd_model_spec s = parse(LLAMA "}");
        pgd_generation_config g;
        pgd_error err = {0};
        assert_int_equal(pgd_generation_parse(bad[i].text, strlen(bad[i].text), &s, &g, &err),
                         PGD_E_FORMAT);
        if (!strstr(err.msg, bad[i].field) || !strstr(err.msg, "generation_config.json"))
            fail_msg("%s: '%s'", bad[i].text, err.msg);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_family),
        cmocka_unit_test(fields_are_read),
        cmocka_unit_test(sliding_windows_cover_the_right_layers),
        cmocka_unit_test(both_spellings_of_rope_scaling_are_read),
        cmocka_unit_test(what_is_not_supported_is_refused_by_field),
        cmocka_unit_test(generation_defaults_are_read),
        cmocka_unit_test(generation_values_out_of_range_are_refused),
    };
    return cmocka_run_group_tests_name("model_config", tests, NULL, NULL);
}

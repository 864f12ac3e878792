/* The part of doctor that does what serve does, up to the point at which serve would load weights
 * and answer: the model folder part by part, the devices, the executor's plan, and the port. Each
 * check is a call of the function that serve calls; here is only what is said about it. A part
 * whose needs failed is left out, since it would fail for their reason. Main thread. */
#include <stdio.h>
#include <string.h>

#include "app/doctor.h"
#include "app/memory_plan.h"
#include "app/serve.h"
#include "pagoda/device.h"
#include "pagoda/fs.h"
#include "pagoda/json.h"

typedef struct patient {
    pgd_report *r;
    const pgd_config *c;
    pgd_server s;
    bool no_device; /* the one that was asked for cannot be opened: said already */
} patient;

static bool is(const char *value, const char *name) {
    return strcmp(value, name) == 0;
}

static void fail(patient *p, const char *topic, const char *advice, const pgd_error *err) {
    pgd_report_add(p->r, PGD_VERDICT_FAIL, topic, advice, "%s", err->msg);
}

/* --- devices -------------------------------------------------------------------------------- */

/* Of the kernel's module; the library that CUDA needs comes with it. */
static void put_driver(char *out, size_t room) {
    static const char *const places[] = {"/sys/module/nvidia/version",
                                         "/proc/driver/nvidia/version"};
    char line[256];
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && out[0] == '\0'; i++) {
        FILE *f = fopen(places[i], "re");
        if (f == NULL) continue;
        if (fgets(line, sizeof(line), f) != NULL)
            (void)snprintf(out, room, ", driver %.*s", (int)strcspn(line, "\n"), line);
        (void)fclose(f);
    }
}

/* What became of the GPU, given what --device says: only serve's own reading makes it a failure. */
static void cuda_is_missing(patient *p, pgd_status status, const pgd_error *err) {
    const bool wanted = is(p->c->device, "cuda");
    /* auto falls back to the CPU for these alone */
    const bool absent = status == PGD_E_NOT_FOUND || status == PGD_E_UNSUPPORTED;
    p->no_device = wanted || (is(p->c->device, "auto") && !absent);
    if (p->no_device)
        fail(p, "cuda",
             wanted ? "cmake --preset cuda builds the backend, nvidia-smi shows the driver; "
                      "--device cpu serves without"
                    : "--device cpu serves without the GPU",
             err);
    else
        pgd_report_add(p->r, PGD_VERDICT_NOTE, "cuda", NULL, "%s%s", err->msg,
                       is(p->c->device, "auto") ? " (the CPU serves)" : " (not asked for)");
}

static void devices(patient *p) {
    pgd_device *dev = NULL;
    pgd_error err = {0};
    char driver[300];
    if (is(p->c->device, "sim")) {
        pgd_report_add(p->r, PGD_VERDICT_NOTE, "device", NULL,
                       "the simulator answers with random text, for load tests");
        return;
    }
    const pgd_status s = pgd_device_open_cuda(&dev, &err);
    if (s != PGD_OK) {
        cuda_is_missing(p, s, &err);
        return;
    }
    put_driver(driver, sizeof(driver));
    pgd_report_add(p->r, PGD_VERDICT_OK, "cuda", NULL, "%s, %.2f GiB free of %.2f GiB%s%s",
                   dev->info.name, (double)dev->info.mem_available / (1 << 30),
                   (double)dev->info.mem_total / (1 << 30), driver,
                   is(p->c->device, "cpu") ? " (not asked for)" : "");
    dev->close(dev);
}

/* --- the model folder ----------------------------------------------------------------------- */

static void praise_model(patient *p) {
    const pgd_model_spec *spec = pgd_model_get_spec(p->s.model);
    pgd_report_add(p->r, PGD_VERDICT_OK, "model", NULL,
                   "%s, %s, %u layers, %u positions, %.2f GiB of weights%s", spec->architecture,
                   pgd_dtype_name(spec->dtype), spec->n_layers, spec->max_position,
                   (double)pgd_model_weight_bytes(p->s.model) / (1 << 30),
                   pgd_model_is_dummy(p->s.model) ? " (none are read)" : "");
}

/* One message through the template, as a chat request would go. */
static void try_template(patient *p) {
    static const char hello[] = "[{\"role\": \"user\", \"content\": \"Hello!\"}]";
    pgd_json_doc *doc = NULL;
    pgd_rendered text = {0};
    pgd_error err = {0};
    char param[128];
    if (p->s.chat == NULL) {
        pgd_report_add(p->r, PGD_VERDICT_NOTE, "chat template", "--chat-template FILE",
                       "none: chat requests will be refused, /v1/completions works");
        return;
    }
    pgd_status s = pgd_json_parse(pgd_sv_c(hello), &pgd_json_limits_file, &doc, &err);
    if (s == PGD_OK) {
        const pgd_chat_input in = {.messages = pgd_json_root(doc), .add_generation_prompt = true};
        s = pgd_chat_render(p->s.chat, &in, &text, param, &err);
    }
    if (s == PGD_OK)
        pgd_report_add(p->r, PGD_VERDICT_OK, "chat template", NULL,
                       "renders a message of a user (%zu bytes)", text.text.n);
    else
        fail(p, "chat template", "the template cannot take a plain message: --chat-template FILE",
             &err);
    pgd_rendered_fini(&text);
    pgd_json_free(&doc);
}

static void praise(patient *p, const char *name) {
    if (is(name, "model")) {
        praise_model(p);
    } else if (is(name, "tokenizer")) {
        pgd_report_add(p->r, PGD_VERDICT_OK, name, NULL, "tokenizer.json, %u ids",
                       pgd_tokenizer_vocab_size(p->s.tokenizer));
    } else if (is(name, "chat template")) {
        try_template(p);
    }
}

static void model_folder(patient *p) {
    bool all = true;
    for (size_t i = 0; i < PGD_SERVER_MODEL_PARTS; i++) {
        const pgd_server_part *part = &pgd_server_model_parts[i];
        pgd_error err = {0};
        if (part->needs_all && !all) continue;
        if (part->run(&p->s, &err) == PGD_OK) {
            praise(p, part->name);
            continue;
        }
        all = false;
        fail(p, part->name, NULL, &err);
        if (!pgd_fs_is_dir(p->c->model)) return; /* the other parts lie in it */
    }
}

static void output_formats(patient *p) {
    const char *tools = NULL, *reasoning = NULL;
    pgd_error err = {0};
    if (p->s.chat == NULL) return;
    if (pgd_api_pick_formats(p->s.chat, p->c->tool_call_parser, p->c->reasoning_parser, &tools,
                             &reasoning, &err) == PGD_OK)
        pgd_report_add(p->r, PGD_VERDICT_OK, "output format", NULL, "tool calls %s, reasoning %s",
                       tools, reasoning);
    else
        pgd_report_add(p->r, PGD_VERDICT_NOTE, "output format",
                       "--tool-call-parser, --reasoning-parser", "%s", err.msg);
}

/* --- memory and the port -------------------------------------------------------------------- */

static void memory_plan(patient *p) {
    pgd_exec_options opt;
    pgd_error err = {0};
    pgd_exec_info *plan = &p->r->plan;
    if (p->s.model == NULL || p->no_device || is(p->c->device, "sim")) return;
    pgd_status s = pgd_server_exec_options(p->c, &opt, &err);
    if (s == PGD_OK) s = pgd_exec_plan(p->s.model, &opt, plan, &err);
    if (s != PGD_OK) {
        fail(p, "memory plan", NULL, &err);
        return;
    }
    p->r->has_plan = true;
    pgd_buf line = {0};
    pgd_memory_plan_put(plan, plan->host_memory || p->c->enforce_eager, &line);
    const uint32_t whole = pgd_model_get_spec(p->s.model)->max_position;
    const bool cut = p->c->max_model_len == 0 && plan->max_model_len < whole;
    pgd_report_add(p->r, cut ? PGD_VERDICT_NOTE : PGD_VERDICT_OK, "memory plan",
                   cut ? "the context is cut to what the KV blocks hold: more memory for them "
                         "(--kv-cache-memory-bytes), or say --max-model-len"
                       : NULL,
                   "%s: %s", plan->device_name, line.p != NULL ? line.p : "");
    pgd_buf_fini(&line);
}

static void port(patient *p) {
    pgd_error err = {0};
    if (pgd_server_start_front(&p->s, &err) != PGD_OK)
        fail(p, "server",
             p->s.api == NULL ? NULL /* a flag, which the text names */
                              : "give another address (--port, --host, --admin-socket), or end "
                                "what holds this one",
             &err);
    else
        pgd_report_add(p->r, PGD_VERDICT_OK, "server", NULL, "can listen on %s port %u", p->c->host,
                       pgd_http_port(p->s.http));
}

void pgd_doctor_server(pgd_report *r, const pgd_config *config) {
    patient p = {.r = r, .c = config, .s = {.config = config, .clock = pgd_clock_monotonic()}};
    devices(&p);
    if (config->model == NULL) {
        pgd_report_add(r, PGD_VERDICT_NOTE, "model", "pagoda doctor MODEL",
                       "none was given: only the machine was looked at");
    } else {
        model_folder(&p);
        output_formats(&p);
        memory_plan(&p);
    }
    port(&p);
    pgd_server_close(&p.s);
}

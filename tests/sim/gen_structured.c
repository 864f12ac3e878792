/* gen_structured FILE.jsonl [--count N] [--seed S] [--out FILE]: structured output through the real
 * engine on the simulator.
 *
 * Rows of FILE hold a "schema". N texts are generated, in turn from each of them, many at once, in
 * a small KV pool (so that some are preempted) with prompts in chunks, among requests that are not
 * constrained. Every text that ended by itself must be JSON that the schema's grammar accepts as a
 * whole; with --out, schema and text are written as JSON lines for scripts/golden/check_walks.py,
 * which asks the Python package jsonschema. Free requests must answer as if alone. Exit status 1
 * when anything differs, or when fewer than half of the texts ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/fs.h"
#include "pagoda/grammar.h"
#include "pagoda/json.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"

enum { VOCAB = 1024, EOS = VOCAB - 1, MAX_LEN = 512, MAX_NEW = 400, AT_ONCE = 24 };

static const char *const PIECES[] = {
    "\"",   "\"",    "\"",  "\"",  "\",", "\",\"", "\"}",  "\"]", "\":", "\":\"", "}",  "}",   "]",
    "]",    "},",    "],",  "}}",  "]}",  "{\"",   "[",    "{}",  "[]",  "true",  ",",  ",\"", ":",
    "null", "false", "0",   "1",   "12",  "-1",    "2024", "-",   ".5",  "e1",    "00", "T1",  "Z",
    "the",  " and",  "red", "cat", "ab",  "a",     "@b.c", "://", "\\n", "\\u00", ": ", ", ",  "\n",
};

typedef struct gen_req {
    pgd_request r;
    pgd_toklog out;
    int32_t prompt[64], token[MAX_LEN];
    pgd_grammar *g;
    const pgd_json *schema;
    bool done;
} gen_req;

typedef struct gen {
    pgd_sim_options sim;
    pgd_exec *exec;
    pgd_engine *e;
    pgd_vocab *vocab;
    pgd_sv token[VOCAB];
    pgd_sink sink;
    gen_req req[AT_ONCE];
    uint64_t seed, n_texts, n_ended, n_free, failures;
    FILE *out;
} gen;

static void die(const char *what, const char *why) {
    (void)fprintf(stderr, "gen_structured: %s: %s\n", what, why);
    exit(2);
}

static void no_wake(void *ctx) {
    (void)ctx;
}

static void open_all(gen *n) {
    static char bytes[256];
    const uint32_t eos = EOS;
    pgd_error err = {0};
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        n->token[i] = (pgd_sv){&bytes[i], 1};
    }
    for (size_t i = 256; i < EOS; i++)
        n->token[i] = pgd_sv_c(PIECES[i % (sizeof PIECES / sizeof PIECES[0])]);
    n->token[EOS] = PGD_SV("");
    n->sim = (pgd_sim_options){.limits = {.max_seqs = 16,
                                          .max_tokens = 96,
                                          .max_slots = 32,
                                          .max_pages_per_seq = MAX_LEN / 16,
                                          .page_tokens = 16,
                                          .n_pages = 40,
                                          .vocab_size = VOCAB,
                                          .max_plan_bytes = 1 << 18},
                               .steps_in_flight = 2,
                               .max_model_len = MAX_LEN,
                               .eos_id = EOS,
                               .mean_len = 8};
    const pgd_engine_options opt = {.max_num_seqs = 16,
                                    .max_num_batched_tokens = 96,
                                    .max_model_len = MAX_LEN,
                                    .max_queued = AT_ONCE,
                                    .prefix_caching = true};
    n->sink.wake = no_wake;
    if (pgd_vocab_create(&n->vocab, n->token, VOCAB, &eos, 1, &err) != PGD_OK ||
        pgd_exec_open_sim(&n->sim, &n->exec, &err) != PGD_OK ||
        pgd_engine_create(n->exec, &opt, &n->e, &err) != PGD_OK)
        die("opening", err.msg);
}

static void submit(gen *n, gen_req *q, uint64_t id, const pgd_json *schema) {
    pgd_error err = {0};
    memset(q, 0, sizeof *q);
    if (schema) {
        const pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_JSON_SCHEMA,
                                       .json = schema,
                                       .space = id % 2 ? PGD_JSON_SPACE_ANY : PGD_JSON_SPACE_NONE};
        if (pgd_grammar_compile(&q->g, &spec, n->vocab, NULL, &err) != PGD_OK)
            die("a schema", err.msg);
    }
    q->schema = schema;
    const uint32_t n_prompt = 5 + (uint32_t)(id % 50);
    for (uint32_t i = 0; i < n_prompt; i++)
        q->prompt[i] = (int32_t)((i < 16 ? i * 7 : i * 13 + id * 31) % VOCAB);
    q->out = (pgd_toklog){.cap = MAX_LEN, .token = q->token};
    q->r = (pgd_request){.id = id,
                         .prompt = q->prompt,
                         .n_prompt = n_prompt,
                         .n_choices = 1,
                         .max_new_tokens = schema ? MAX_NEW : 60,
                         .sampling = {.temperature = 1,
                                      .top_p = 1,
                                      .repetition_penalty = 1,
                                      .seed = n->seed + id,
                                      .n_stop_ids = 1,
                                      .stop_ids = {EOS}},
                         .grammar = q->g,
                         .sink = &n->sink,
                         .out = &q->out};
    if (pgd_engine_submit(n->e, &q->r, &err) != PGD_OK) die("submitting", err.msg);
}

static void complain(gen *n, const gen_req *q, const char *what, pgd_sv text) {
    if (n->failures++ < 20)
        printf("request %llu: %s: %.*s\n", (unsigned long long)q->r.id, what,
               text.n < 500 ? (int)text.n : 500, text.p ? text.p : "");
}

/* A fresh matcher takes the text as one piece. */
static bool accepts(pgd_grammar *g, pgd_sv text) {
    pgd_matcher *m = NULL;
    if (pgd_matcher_create(&m, g) != PGD_OK) die("a matcher", "out of memory");
    const bool yes = pgd_matcher_advance_bytes(m, text, NULL) == PGD_OK && pgd_matcher_accepts(m);
    pgd_matcher_destroy(&m);
    return yes;
}

static void write_row(const gen *n, const gen_req *q, pgd_sv text) {
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "schema");
    pgd_jsonw_node(&w, q->schema);
    pgd_jsonw_key(&w, "text");
    pgd_jsonw_str(&w, text);
    pgd_jsonw_end_obj(&w);
    (void)fprintf(n->out, "%.*s\n", (int)b.n, b.p);
    pgd_buf_fini(&b);
}

static void judge_text(gen *n, const gen_req *q) {
    pgd_buf b = {0};
    const uint32_t len = atomic_load(&q->out.len);
    const pgd_finish why = (pgd_finish)atomic_load(&q->out.finish);
    for (uint32_t i = 0; i < len; i++)
        pgd_buf_putsv(&b, n->token[q->token[i]]);
    const pgd_sv text = pgd_buf_sv(&b);
    n->n_texts++;
    if (why == PGD_FINISH_STOP) {
        n->n_ended++;
        if (pgd_json_validate(text, &pgd_json_limits_file, NULL) != PGD_OK)
            complain(n, q, "no JSON", text);
        else if (!accepts(q->g, text))
            complain(n, q, "not of its grammar", text);
        else if (n->out)
            write_row(n, q, text);
    } else if (why != PGD_FINISH_LENGTH) {
        complain(n, q, q->r.error, text);
    }
    pgd_buf_fini(&b);
}

static void judge_free(gen *n, const gen_req *q) {
    int32_t text[MAX_LEN];
    uint32_t k = q->r.n_prompt;
    memcpy(text, q->prompt, k * sizeof *text);
    n->n_free++;
    for (uint32_t i = 0; i < atomic_load(&q->out.len); i++, k++) {
        text[k] = pgd_sim_next_token(&n->sim, text, k, q->r.sampling.seed, 0);
        if (text[k] == q->token[i]) continue;
        complain(n, q, "a free request answers differently in company", PGD_SV(""));
        return;
    }
}

static void read_done(gen *n) {
    pgd_link *done = pgd_stack_take_all(&n->sink.done);
    for (pgd_link *d = pgd_stack_take_all(&n->sink.dirty); d; d = d->next)
        atomic_store(&PGD_FROM_LINK(d, pgd_request, dirty_link)->dirty, 0);
    for (; done; done = done->next) {
        gen_req *q = (gen_req *)(void *)PGD_FROM_LINK(done, pgd_request, done_link);
        q->done = true;
        if (q->schema)
            judge_text(n, q);
        else
            judge_free(n, q);
        pgd_grammar_release(&q->g);
    }
}

/* AT_ONCE requests, every eighth of them free; as each ends the next takes its place. */
static void run(gen *n, const pgd_json *rows, uint64_t count) {
    uint64_t id = 0, n_asked = 0;
    const pgd_json *row = rows;
    for (size_t i = 0; i < AT_ONCE; i++)
        n->req[i].done = true;
    for (bool any = true; any;) {
        any = false;
        for (size_t i = 0; i < AT_ONCE; i++) {
            const bool free_text = i % 8 == 0;
            if (n->req[i].done && n_asked < count) {
                submit(n, &n->req[i], ++id, free_text ? NULL : pgd_json_get(row, "schema"));
                n_asked += !free_text;
                if (!free_text) row = pgd_json_next(row) ? pgd_json_next(row) : rows;
            }
            any = any || !n->req[i].done;
        }
        (void)pgd_engine_step(n->e);
        read_done(n);
    }
}

static pgd_json_doc *read_rows(const char *path) {
    pgd_buf file = {0}, all = {0};
    pgd_error err = {0};
    pgd_json_doc *doc = NULL;
    if (pgd_fs_read(path, (size_t)64 << 20, &file, &err) != PGD_OK) die(path, err.msg);
    pgd_buf_putc(&all, '[');
    for (size_t i = 0; i < file.n; i++)
        pgd_buf_putc(&all, file.p[i] == '\n' && i + 1 < file.n ? ',' : file.p[i]);
    pgd_buf_putc(&all, ']');
    if (pgd_json_parse(pgd_buf_sv(&all), &pgd_json_limits_file, &doc, &err) != PGD_OK)
        die(path, err.msg);
    pgd_buf_fini(&file);
    pgd_buf_fini(&all);
    return doc;
}

static uint64_t number(const char *s) {
    uint64_t v = 0;
    if (!pgd_parse_u64(pgd_sv_c(s), &v)) die(s, "not a number");
    return v;
}

int main(int argc, char **argv) {
    static gen n;
    uint64_t count = 800;
    if (argc < 2) die("usage", "gen_structured FILE.jsonl [--count N] [--seed S] [--out FILE]");
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--count") == 0) count = number(argv[i + 1]);
        if (strcmp(argv[i], "--seed") == 0) n.seed = number(argv[i + 1]);
        if (strcmp(argv[i], "--out") == 0) n.out = fopen(argv[i + 1], "w");
    }
    pgd_json_doc *doc = read_rows(argv[1]);
    open_all(&n);
    run(&n, pgd_json_first(pgd_json_root(doc)), count);
    pgd_engine_stats st;
    pgd_engine_get_stats(n.e, &st);
    pgd_error err = {0};
    if (pgd_engine_check(n.e, &err) != PGD_OK) die("the engine", err.msg);
    if (*pgd_sim_fault(n.exec)) die("the simulator", pgd_sim_fault(n.exec));
    pgd_engine_destroy(&n.e);
    n.exec->destroy(n.exec);
    pgd_vocab_destroy(&n.vocab);
    pgd_json_free(&doc);
    if (n.out) (void)fclose(n.out);
    printf("gen_structured: seed %llu: %llu texts, %llu ended by themselves, %llu free ones, %llu "
           "preemptions, %llu failures\n",
           (unsigned long long)n.seed, (unsigned long long)n.n_texts, (unsigned long long)n.n_ended,
           (unsigned long long)n.n_free, (unsigned long long)st.preemptions,
           (unsigned long long)n.failures);
    return n.failures || n.n_ended * 2 < n.n_texts;
}

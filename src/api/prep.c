/* A worker's share of a call: parse, check fields, settle sampling, make prompts, lay out memory.
 *
 * Everything a generation needs later is allocated here, so that the loop rarely can fail: token
 * logs at their final size (the pages are touched only as tokens come), detokenizers, the chunk
 * prefix. Afterwards the body and its tree are dropped. Defaults: request, then the model's
 * generation_config, then the API's. Failures land in c->err; the loop answers them. Between the
 * costly parts `give_up` is looked at, so that work for clients that left ends early. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "constrain.h"
#include "pagoda/hash.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"

/* Below this a temperature is greedy: 1/T would amplify rounding to noise. */
#define GREEDY_BELOW 1e-5
enum { DEFAULT_COMPLETION_TOKENS = 16 };
#define MAX_LOG_BYTES ((size_t)2 << 30)

static double pick(const api_opt_num *asked, bool has, double model, double otherwise) {
    return asked->given ? asked->v : has ? model : otherwise;
}

/* Sampling parameters but for seed, stop ids and counts. */
static void settle_sampling(const api_fields *f, const pgd_generation_config *gc, pgd_sampling *s) {
    const pgd_generation_config none = {.do_sample = true};
    const pgd_generation_config *const g = gc ? gc : &none;
    const double plain = g->do_sample ? 1.0 : 0.0;
    const double t =
        pick(&f->temperature, g->has_temperature && g->do_sample, g->temperature, plain);
    const double top_p = pick(&f->top_p, g->has_top_p, g->top_p, 1.0);
    s->min_p = (float)pick(&f->min_p, g->has_min_p, g->min_p, 0.0);
    s->top_k = f->top_k.given ? (int32_t)f->top_k.v : g->has_top_k ? g->top_k : 0;
    const double rep =
        pick(&f->repetition_penalty, g->has_repetition_penalty, g->repetition_penalty, 1.0);
    s->repetition_penalty = (float)fmax(rep, 1e-3); /* it divides */
    s->presence_penalty = (float)(f->presence_penalty.given ? f->presence_penalty.v : 0.0);
    s->frequency_penalty = (float)(f->frequency_penalty.given ? f->frequency_penalty.v : 0.0);
    s->flags = 0;
    /* top_p 0 keeps the best token alone, and so does a float that 0 < top_p rounds to */
    const bool greedy = !(t >= GREEDY_BELOW) || !((float)top_p > 0);
    if (greedy) s->flags |= PGD_SAMPLE_GREEDY;
    s->temperature = greedy ? 1.0f : (float)t;
    s->top_p = greedy ? 1.0f : (float)fmin(top_p, 1.0);
    if (s->repetition_penalty != 1.0f || s->presence_penalty != 0 || s->frequency_penalty != 0)
        s->flags |= PGD_SAMPLE_PENALTIES;
}

static pgd_status settle_logprobs(pgd_call *c, const api_fields *f, pgd_sampling *s, api_error *e) {
    api_gen *const g = &c->g;
    if (api_is_chat(c->route)) {
        g->want_logprobs = f->logprobs.given && f->logprobs.v;
        if (!g->want_logprobs && f->top_logprobs.given && f->top_logprobs.v > 0)
            return api_fail(e, PGD_E_INVALID, "invalid_value", "top_logprobs",
                            "Invalid value for 'top_logprobs': 'logprobs' must be true when "
                            "'top_logprobs' is set.");
        g->n_top = g->want_logprobs && f->top_logprobs.given ? (uint32_t)f->top_logprobs.v : 0;
    } else {
        g->want_logprobs = f->n_logprobs.given;
        g->n_top = f->n_logprobs.given ? (uint32_t)f->n_logprobs.v : 0;
    }
    const char *const name = api_is_chat(c->route) ? "top_logprobs" : "logprobs";
    if (g->n_top > c->model->max_logprobs)
        return api_fail(e, PGD_E_INVALID, "integer_above_max_value", name,
                        "Invalid '%s': integer above maximum value. Expected a value <= %u, but "
                        "got %u instead.",
                        name, c->model->max_logprobs, g->n_top);
    if (g->want_logprobs) s->flags |= PGD_SAMPLE_LOGPROBS;
    s->n_top = g->n_top;
    return PGD_OK;
}

static pgd_status settle_stops(pgd_call *c, const api_fields *f, pgd_sampling *s, api_error *e) {
    const pgd_model_spec *const spec = c->model->spec;
    PGD_TRY(api_read_stop(f->stop, c->arena, &c->g.stops, e));
    size_t n = 0;
    PGD_TRY(api_read_ids(f->stop_token_ids, "stop_token_ids", spec->vocab_size, c->g.user_stop_ids,
                         API_MAX_STOP_IDS, &n, e));
    c->g.n_user_stop_ids = (uint32_t)n;
    s->n_stop_ids = 0;
    if (!(f->ignore_eos.given && f->ignore_eos.v))
        for (uint32_t i = 0; i < spec->n_eos; i++)
            s->stop_ids[s->n_stop_ids++] = spec->eos_ids[i];
    for (size_t i = 0; i < n; i++)
        s->stop_ids[s->n_stop_ids++] = c->g.user_stop_ids[i];
    return PGD_OK;
}

/* The largest number of new tokens that the client (or the model's file) wants. */
static uint64_t wanted_tokens(const pgd_call *c, const api_fields *f) {
    if (f->max_completion_tokens.given) return (uint64_t)f->max_completion_tokens.v;
    if (f->max_tokens.given) return (uint64_t)f->max_tokens.v;
    const pgd_generation_config *const g = c->model->generation;
    if (g && g->has_max_new_tokens && g->max_new_tokens) return g->max_new_tokens;
    return api_is_chat(c->route) ? UINT64_MAX : DEFAULT_COMPLETION_TOKENS;
}

/* Length rule: a prompt that leaves no room for one token is an error with the numbers; a wish that
 * goes past the context is cut, and ends with finish_reason "length". */
static pgd_status settle_length(pgd_call *c, const api_fields *f, api_request *q, api_error *e) {
    const uint64_t ctx = c->model->max_model_len, n = q->prompt.n;
    const bool given = f->max_completion_tokens.given || f->max_tokens.given;
    const uint64_t want = wanted_tokens(c, f);
    const bool chat = api_is_chat(c->route);
    if (n + 1 > ctx) {
        const uint64_t asked = given && want ? want : 1;
        e->n_prompt_tokens = (int64_t)n;
        e->n_ctx = (int64_t)ctx;
        return api_fail(e, PGD_E_LIMIT, "context_length_exceeded", chat ? "messages" : "prompt",
                        "This model's maximum context length is %" PRIu64 " tokens. However, you "
                        "requested %" PRIu64 " tokens (%" PRIu64 " in the %s, %" PRIu64
                        " in the completion). Please reduce the length of the %s or completion.",
                        ctx, n + asked, n, chat ? "messages" : "prompt", asked,
                        chat ? "messages" : "prompt");
    }
    if (f->min_tokens.given && want != UINT64_MAX && (uint64_t)f->min_tokens.v > want)
        return api_fail(e, PGD_E_INVALID, "integer_above_max_value", "min_tokens",
                        "Invalid 'min_tokens': integer above maximum value. Expected a value <= "
                        "max_tokens (%" PRIu64 "), but got %" PRId64 " instead.",
                        want, f->min_tokens.v);
    q->r.max_new_tokens = (uint32_t)(want < ctx - n ? want : ctx - n);
    const uint64_t min = f->min_tokens.given ? (uint64_t)f->min_tokens.v : 0;
    q->r.sampling.min_tokens = (uint32_t)(min < q->r.max_new_tokens ? min : q->r.max_new_tokens);
    return PGD_OK;
}

/* Token logs of one request in one block: per choice tokens, logprobs, tops; then the scores. */
static pgd_status lay_out_logs(pgd_call *c, api_request *q, uint32_t n, api_error *e) {
    const bool lp = c->g.want_logprobs;
    const size_t item = sizeof(pgd_top) * c->g.n_top + (lp ? sizeof(float) : 0) + sizeof(int32_t);
    const size_t cap = q->r.max_new_tokens ? q->r.max_new_tokens : 1;
    const size_t n_score = q->r.score_prompt ? q->prompt.n : 0;
    size_t logs, all;
    if (!pgd_mul_size(n, cap, &logs) || !pgd_add_size(logs, n_score, &logs) ||
        !pgd_mul_size(logs, item, &all) || all > MAX_LOG_BYTES)
        return api_fail(e, PGD_E_LIMIT, "invalid_value", "max_tokens",
                        "Invalid request: n x max_tokens x top_logprobs is too large.");
    q->r.out = pgd_arena_array(c->arena, n + (n_score ? 1 : 0), sizeof *q->r.out);
    char *at = q->logs = pgd_malloc(all);
    if (!q->r.out || !at) return api_fail_nomem(e);
    if (n_score) q->r.scores = &q->r.out[n];
    for (uint32_t i = 0; i < n + (n_score ? 1u : 0u); i++) {
        pgd_toklog *const log = &q->r.out[i];
        log->cap = (uint32_t)(i < n ? cap : n_score);
        log->token = (int32_t *)(void *)at;
        at += log->cap * sizeof(int32_t);
        if (lp) log->logprob = (float *)(void *)at;
        if (lp) at += log->cap * sizeof(float);
        if (c->g.n_top) log->top = (pgd_top *)(void *)at;
        at += log->cap * sizeof(pgd_top) * c->g.n_top;
    }
    return PGD_OK;
}

/* Detokenize in context: the first generated token keeps its leading space, as it follows text.
 * The last tokens of the prompt are pushed and what they emit is dropped. */
static pgd_status open_choice(pgd_call *c, api_choice *ch, pgd_buf *scratch, api_error *e) {
    enum { CONTEXT = 8 };
    const pgd_ids *const p = &ch->rq->prompt;
    /* a parser must see markers that are special tokens */
    const bool skip = c->g.skip_special && !c->g.parse;
    if (pgd_detok_create(c->model->tokenizer, skip, &ch->detok) != PGD_OK) return api_fail_nomem(e);
    for (size_t i = p->n > CONTEXT ? p->n - CONTEXT : 0; i < p->n; i++) {
        pgd_buf_clear(scratch);
        if (pgd_detok_push(ch->detok, p->v[i], scratch) == PGD_E_NOMEM) return api_fail_nomem(e);
    }
    ch->n_cp = pgd_utf8_count(ch->rq->echo.p, ch->rq->echo.n);
    ch->stop_token = ch->stop_index = -1;
    if (c->g.parse && api_parser_create(&c->g.parsing, &ch->pieces, &ch->parser) != PGD_OK)
        return api_fail_nomem(e);
    return PGD_OK;
}

static pgd_status lay_out_choices(pgd_call *c, uint32_t n, api_error *e) {
    api_gen *const g = &c->g;
    g->choices = pgd_calloc(g->n_requests, n * sizeof *g->choices);
    if (!g->choices) return api_fail_nomem(e);
    g->n_choices = g->n_open = g->n_requests * n;
    pgd_buf scratch = {0};
    pgd_status st = PGD_OK;
    for (uint32_t i = 0; i < g->n_choices && st == PGD_OK; i++) {
        api_choice *const ch = &g->choices[i];
        ch->rq = &g->requests[i / n];
        ch->index = i;
        ch->i_log = i % n;
        st = open_choice(c, ch, &scratch, e);
    }
    pgd_buf_fini(&scratch);
    return st;
}

/* Equal prefixes are shared within one namespace only: the caller's key group and its own salt. */
static pgd_status make_namespace(const pgd_call *c, pgd_sv salt, uint8_t out[16], api_error *e) {
    pgd_buf b = {0};
    const pgd_sv part[2] = {pgd_buf_sv(&c->tenant), salt};
    for (int i = 0; i < 2; i++) {
        const uint64_t n = part[i].n;
        pgd_buf_put(&b, &n, sizeof n);
        pgd_buf_putsv(&b, part[i]);
    }
    const bool failed = b.failed;
    if (!failed) pgd_keyed_hash128(b.p, b.n, c->api->boot_key, out);
    pgd_buf_fini(&b);
    return failed ? api_fail_nomem(e) : PGD_OK;
}

static void make_prefix(pgd_call *c) {
    pgd_buf *const b = &c->g.prefix;
    pgd_buf_putf(b, "data: {\"id\":\"%s\",\"object\":\"%s\",\"created\":%llu,\"model\":\"", c->id,
                 c->wire->chunk_object, (unsigned long long)c->created);
    pgd_json_escape(b, c->model_name);
    pgd_buf_puts(b, "\",\"system_fingerprint\":\"");
    pgd_json_escape(b, pgd_sv_c(c->api->opt.system_fingerprint));
    pgd_buf_putc(b, '"');
    if (c->g.service_tier) pgd_buf_putf(b, ",\"service_tier\":\"%s\"", c->g.service_tier);
    pgd_buf_puts(b, ",\"choices\":[");
}

static bool on(const api_opt_bool *b, bool otherwise) {
    return b->given ? b->v : otherwise;
}

static pgd_status settle_flags(pgd_call *c, const api_fields *f, api_error *e) {
    api_gen *const g = &c->g;
    if (!f->model.p) return api_fail_missing(e, "model");
    PGD_TRY(api_pick_model(c->model, f->model, e));
    PGD_TRY(api_check_served(f, e));
    const char *const name = pgd_arena_strndup(c->arena, f->model.p, f->model.n);
    if (!name) return api_fail_nomem(e);
    c->model_name = (pgd_sv){name, f->model.n};
    api_stream_options so;
    PGD_TRY(api_read_stream_options(f->stream_options, &so, e));
    if (c->id_is_ours) (void)api_live_rename(c, f->request_id);
    g->stream = on(&f->stream, false);
    g->include_usage = g->stream && so.include_usage;
    g->continuous_usage = g->include_usage && so.continuous_usage;
    g->echo = on(&f->echo, false);
    g->include_stop = on(&f->include_stop, false);
    g->skip_special = on(&f->skip_special, true);
    g->want_ids = on(&f->return_token_ids, false);
    g->tokens_as_ids = on(&f->tokens_as_ids, false);
    g->service_tier = f->service_tier.p ? "default" : NULL;
    const int64_t n = f->n.given ? f->n.v : 1;
    if (f->best_of.given && f->best_of.v > n)
        return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_parameter", "best_of",
                        "Unsupported parameter: 'best_of' greater than 'n' is not supported by "
                        "this server.");
    return PGD_OK;
}

/* Whether and how the output is taken apart. Without tools (or with tool_choice "none") calls stay
 * text; without a format for reasoning, or where the client wants it so, reasoning does. */
static pgd_status settle_parsing(pgd_call *c, const api_fields *f, api_error *e) {
    api_gen *const g = &c->g;
    if (!api_is_chat(c->route)) return PGD_OK;
    g->parsing.formats = c->api->formats;
    g->one_call = !on(&f->parallel_tool_calls, true);
    g->drop_reasoning = !on(&f->include_reasoning, true);
    g->parsing.keep_reasoning =
        !on(&f->separate_reasoning, true) || pgd_sv_eq(f->reasoning_format, PGD_SV("none"));
    if (g->parsing.formats.tools && api_wants_tools(f) &&
        api_toolset_create(f->tools, c->arena, &g->parsing.tools) != PGD_OK)
        return api_fail_nomem(e);
    g->parse = g->parsing.formats.think || g->parsing.tools;
    return PGD_OK;
}

static pgd_status build_request(pgd_call *c, const api_fields *f, api_request *q,
                                const pgd_request *common, uint32_t n, api_error *e) {
    pgd_request *const r = &q->r;
    if (c->route == PGD_ROUTE_EMBEDDINGS) PGD_TRY(api_prep_embedding(c, q));
    r->arrival_ns = c->begin_ns;
    r->deadline_ns = c->deadline_ns;
    r->priority = common->priority;
    memcpy(r->cache_ns, common->cache_ns, sizeof r->cache_ns);
    r->sampling = common->sampling;
    r->bias = common->bias;
    r->n_bias = common->n_bias;
    r->grammar = c->g.grammar;
    r->prompt = q->prompt.v;
    r->n_prompt = (uint32_t)q->prompt.n;
    r->n_choices = n;
    r->api = q;
    q->call = c;
    PGD_TRY(settle_length(c, f, q, e));
    /* scoring only when somebody reads it; with no token to generate it is the whole work */
    r->score_prompt = (c->g.echo && c->g.want_logprobs) || r->max_new_tokens == 0;
    return lay_out_logs(c, q, n, e);
}

/* A text that its grammar has ended must end: ignore_eos is about free text. */
static void force_eos(const pgd_model_spec *spec, pgd_sampling *s) {
    for (uint32_t i = 0; i < spec->n_eos; i++) {
        uint32_t k = 0;
        while (k < s->n_stop_ids && s->stop_ids[k] != spec->eos_ids[i])
            k++;
        if (k == s->n_stop_ids) s->stop_ids[s->n_stop_ids++] = spec->eos_ids[i];
    }
}

static pgd_status prep_generation(pgd_call *c, const pgd_json *body) {
    api_error *const e = &c->err;
    api_gen *const g = &c->g;
    api_fields f;
    pgd_request common = {0};
    const unsigned route = api_is_chat(c->route) ? API_ON_CHAT : API_ON_COMPLETIONS;
    PGD_TRY(api_fields_read(body, route, &f, e));
    PGD_TRY(settle_flags(c, &f, e));
    settle_sampling(&f, c->model->generation, &common.sampling);
    PGD_TRY(settle_logprobs(c, &f, &common.sampling, e));
    PGD_TRY(settle_stops(c, &f, &common.sampling, e));
    pgd_bias *bias;
    PGD_TRY(api_read_bias(f.logit_bias, c->model->spec->vocab_size, c->arena, &bias, &common.n_bias,
                          e));
    common.bias = bias;
    if (f.seed.given)
        common.sampling.seed = (uint64_t)f.seed.v;
    else
        pgd_random_bytes(&common.sampling.seed, sizeof common.sampling.seed);
    const bool may = c->model->enable_priority && c->may_set_priority;
    if (f.priority.given && may) common.priority = (int32_t)f.priority.v;
    g->ignored_priority = f.priority.given && f.priority.v != 0 && !may;
    PGD_TRY(make_namespace(c, f.cache_salt, common.cache_ns, e));
    PGD_TRY(api_prep_prompts(c, &f));
    PGD_TRY(settle_parsing(c, &f, e));
    PGD_TRY(api_constrain(c, &f));
    if (g->grammar) force_eos(c->model->spec, &common.sampling);
    const uint32_t n = f.n.given ? (uint32_t)f.n.v : 1;
    if (g->n_requests * n > api_max_choices(c))
        return api_fail(e, PGD_E_INVALID, "integer_above_max_value", "n",
                        "Invalid request: prompts x n is %u, above the maximum of %u.",
                        g->n_requests * n, api_max_choices(c));
    for (uint32_t i = 0; i < g->n_requests; i++) {
        g->requests[i].first_choice = i * n;
        PGD_TRY(build_request(c, &f, &g->requests[i], &common, n, e));
    }
    g->keep_pending = g->want_logprobs || g->want_ids;
    PGD_TRY(lay_out_choices(c, n, e));
    if (g->stream && c->wire->chunk_object) make_prefix(c);
    return g->prefix.failed ? api_fail_nomem(e) : PGD_OK;
}

/* A body of another protocol: what a chat client would have sent takes its place, so that every
 * rule of chat holds there too. */
static pgd_status prep_translated(pgd_call *c, const pgd_json *body) {
    pgd_buf text = {0};
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    pgd_status st = c->wire->translate(c, body, &text);
    if (st == PGD_OK && text.failed) st = api_fail_nomem(&c->err);
    if (st == PGD_OK &&
        pgd_json_parse(pgd_buf_sv(&text), &pgd_json_limits_file, &doc, &err) != PGD_OK)
        st = api_fail_from(&c->err, &err, "invalid_value", NULL);
    pgd_buf_fini(&text);
    if (st == PGD_OK && !api_is_chat(c->route) && c->route != PGD_ROUTE_EMBEDDINGS)
        st = api_run_count(c, pgd_json_root(doc));
    else if (st == PGD_OK)
        st = prep_generation(c, pgd_json_root(doc));
    pgd_json_free(&doc);
    return st;
}

static pgd_status run(pgd_call *c, pgd_json_doc **doc) {
    api_error *const e = &c->err;
    if (pgd_arena_create(&c->arena, 0) != PGD_OK) return api_fail_nomem(e);
    pgd_error err = {0};
    const pgd_sv body = pgd_buf_sv(&c->body);
    if (body.n == 0)
        return api_fail(e, PGD_E_INVALID, NULL, NULL,
                        "The request body is empty; a JSON object was expected.");
    if (pgd_json_parse(body, &pgd_json_limits_request, doc, &err) != PGD_OK) {
        if (err.code == PGD_E_NOMEM) return api_fail_nomem(e);
        return api_fail(e, PGD_E_INVALID, "invalid_json", NULL,
                        "We could not parse the JSON body of your request. %s", err.msg);
    }
    const pgd_json *const root = pgd_json_root(*doc);
    if (c->route == PGD_ROUTE_TOKENIZE) return api_run_tokenize(c, root);
    if (c->route == PGD_ROUTE_APPLY_TEMPLATE) return api_run_apply_template(c, root);
    if (c->route == PGD_ROUTE_DETOKENIZE) return api_run_detokenize(c, root);
    return c->wire->translate ? prep_translated(c, root) : prep_generation(c, root);
}

void api_prep_run(pgd_call *c) {
    pgd_json_doc *doc = NULL;
    if (atomic_load_explicit(&c->give_up, memory_order_relaxed))
        (void)api_fail(&c->err, PGD_E_CANCELLED, NULL, NULL, "The request was cancelled.");
    else
        (void)run(c, &doc);
    pgd_json_free(&doc);
    pgd_buf_fini(&c->body);
}

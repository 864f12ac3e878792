/* Spec → program.
 *
 * The program of a decoder is embed, L times (attention block, feed-forward block), and the head:
 * gather the wanted rows, final norm, lm head, logit processing, sampling. Nothing reads the last
 * layer's feed-forward block but the head, so that block runs over the gathered rows: a prompt's
 * chunk that wants no logits skips it, another computes it for one row. What enters a linear has
 * the type that the device names for the weights. Every operation and every pair of types is asked
 * of the device here, so that what it lacks is an error at load, by name. No passes rewrite the
 * program afterwards. Thread: the rank's. */
#include "builder.h"

#include <string.h>

#include "pagoda/mem.h"

program_op *emit(builder *b, pgd_op op, int32_t layer, const char *name) {
    program *const p = b->p;
    if (!p->dev->op[op]) {
        (void)pgd_fail(b->err, PGD_E_UNSUPPORTED,
                       "device %s has no operation '%s', which %s needs for %s", p->dev->info.name,
                       pgd_op_name(op), b->spec->architecture, name);
        return NULL;
    }
    if (p->n_ops == p->cap) {
        const uint32_t cap = p->cap ? 2 * p->cap : 64;
        program_op *const grown = pgd_realloc(p->op, cap * sizeof *grown);
        if (!grown) {
            (void)pgd_fail(b->err, PGD_E_NOMEM, "no memory for a program of %u operations", cap);
            return NULL;
        }
        p->op = grown;
        p->cap = cap;
    }
    program_op *const o = &p->op[p->n_ops++];
    memset(o, 0, sizeof *o);
    o->op = op;
    o->fn = p->dev->op[op];
    o->name = name;
    o->layer = layer;
    return o;
}

pgd_status emit_norm(builder *b, int32_t layer, const char *name, const pgd_tensor *x,
                     const pgd_tensor *w, const pgd_tensor *y, uint32_t over_rows) {
    program_op *const o = emit(b, PGD_OP_NORM, layer, name);
    if (!o) return b->err->code;
    o->args.norm = (pgd_norm_args){
        .x = *x, .w = *w, .y = *y, .eps = (float)b->spec->rms_eps, .over_rows = over_rows};
    return PGD_OK;
}

pgd_status emit_linear(builder *b, int32_t layer, const char *name, const pgd_tensor *x,
                       const pgd_weight *w, const pgd_tensor *bias, const pgd_tensor *y,
                       pgd_epilogue epilogue, uint32_t over_rows) {
    pgd_device *const dev = b->p->dev;
    if (!dev->supports_linear(dev, x->dtype, w->dtype))
        return pgd_fail(b->err, PGD_E_UNSUPPORTED,
                        "device %s cannot multiply %s activations by %s weights, needed for %s",
                        dev->info.name, pgd_dtype_name(x->dtype), pgd_dtype_name(w->dtype), name);
    program_op *const o = emit(b, PGD_OP_LINEAR, layer, name);
    if (!o) return b->err->code;
    o->args.linear = (pgd_linear_args){.x = *x,
                                       .y = *y,
                                       .bias = *bias,
                                       .w = w,
                                       .epilogue = epilogue,
                                       .gelu = b->spec->act == PGD_ACT_GELU_TANH,
                                       .over_rows = over_rows};
    return PGD_OK;
}

uint32_t program_tile_rows(const pgd_device *dev, uint32_t max_tokens) {
    return max_tokens < dev->info.logits_rows ? max_tokens : dev->info.logits_rows;
}

/* One buffer of the workspace: its place in the struct, columns and type; rows by `kind`. */
typedef struct ws_row {
    size_t offset;
    enum { BY_TOKEN, BY_ROW, BY_POSITION } kind;
    uint64_t cols;
    pgd_dtype dtype;
} ws_row;

enum { WS_ROWS = 11 };

static void describe_workspace(pgd_device *dev, const pgd_model_spec *s, ws_row out[WS_ROWS]) {
    const pgd_dtype act = dev->act_type(dev, s->dtype);
    const uint64_t heads = (uint64_t)s->n_heads * s->head_dim;
    const uint64_t qkv = (uint64_t)(s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
    const ws_row rows[WS_ROWS] = {
        {offsetof(workspace, h), BY_TOKEN, s->d_model, PGD_F32},
        {offsetof(workspace, normed), BY_TOKEN, s->d_model, act},
        {offsetof(workspace, qkv), BY_TOKEN, qkv, PGD_F32},
        {offsetof(workspace, q), BY_TOKEN, heads, act},
        {offsetof(workspace, attn), BY_TOKEN, heads, act},
        {offsetof(workspace, ff), BY_TOKEN, s->d_ff, act},
        {offsetof(workspace, rows), BY_ROW, s->d_model, PGD_F32},
        {offsetof(workspace, rows_act), BY_ROW, s->d_model, act},
        {offsetof(workspace, logits), BY_ROW, s->vocab_size, PGD_F32},
        {offsetof(workspace, cos), BY_POSITION, s->rope.rotary_dim / 2, PGD_F32},
        {offsetof(workspace, sin), BY_POSITION, s->rope.rotary_dim / 2, PGD_F32},
    };
    memcpy(out, rows, sizeof rows);
}

static uint64_t ws_n_rows(const ws_row *r, const pgd_device *dev, uint32_t max_tokens,
                          uint32_t max_model_len) {
    if (r->kind == BY_TOKEN) return max_tokens;
    return r->kind == BY_ROW ? program_tile_rows(dev, max_tokens) : max_model_len;
}

uint64_t program_bytes(pgd_device *dev, const pgd_model_spec *s, const pgd_plan_limits *lim,
                       uint32_t max_model_len) {
    ws_row row[WS_ROWS];
    uint64_t bytes = slots_bytes(lim) + step_buffers_bytes(lim, &dev->info);
    describe_workspace(dev, s, row);
    for (uint32_t i = 0; i < WS_ROWS; i++)
        bytes += ws_n_rows(&row[i], dev, lim->max_tokens, max_model_len) * row[i].cols *
                 pgd_dtype_bytes(row[i].dtype);
    return bytes;
}

static pgd_status make_workspace(builder *b, devmem *mem, uint32_t max_tokens,
                                 uint32_t max_model_len) {
    ws_row row[WS_ROWS];
    describe_workspace(mem->dev, b->spec, row);
    for (uint32_t i = 0; i < WS_ROWS; i++) {
        void *p = NULL;
        const uint64_t n = ws_n_rows(&row[i], mem->dev, max_tokens, max_model_len);
        PGD_TRY(devmem_array(mem, "workspace", n, row[i].cols * pgd_dtype_bytes(row[i].dtype), &p,
                             b->err));
        const pgd_tensor t = pgd_tensor_2d(p, row[i].dtype, n, row[i].cols);
        memcpy((char *)&b->p->ws + row[i].offset, &t, sizeof t);
    }
    return PGD_OK;
}

/* Tables for every position served. Dynamic scaling is pinned to the served context (rope.c). */
static pgd_status fill_rope(const builder *b, uint32_t max_model_len) {
    pgd_device *const dev = b->p->dev;
    const size_t n = (size_t)max_model_len * (b->spec->rope.rotary_dim / 2);
    float *const cos = pgd_calloc(2 * n, sizeof *cos), *const sin = cos ? cos + n : NULL;
    if (!cos) return pgd_fail(b->err, PGD_E_NOMEM, "no memory for the rotary tables");
    pgd_rope_table(&b->spec->rope, 0, max_model_len, max_model_len, cos, sin);
    pgd_status s = dev->upload(dev, b->p->ws.cos.data, cos, n * sizeof *cos);
    if (s == PGD_OK) s = dev->upload(dev, b->p->ws.sin.data, sin, n * sizeof *sin);
    pgd_free(cos);
    return s == PGD_OK ? s : pgd_fail(b->err, s, "uploading the rotary tables");
}

static pgd_status emit_embed(builder *b) {
    program_op *const o = emit(b, PGD_OP_EMBED, -1, "embed");
    if (!o) return b->err->code;
    o->args.embed = (pgd_embed_args){.table = b->w->embed, .y = b->p->ws.h};
    return PGD_OK;
}

static pgd_status emit_head(builder *b) {
    const workspace *const ws = &b->p->ws;
    const pgd_tensor no_bias = {0};
    program_op *o = emit(b, PGD_OP_GATHER, -1, "head.gather");
    if (!o) return b->err->code;
    o->args.gather = (pgd_gather_args){.x = ws->h, .y = ws->rows};
    PGD_TRY(emit_ffn_block(b, b->spec->n_layers - 1, 1));
    PGD_TRY(emit_norm(b, -1, "head.norm", &ws->rows, &b->w->final_norm, &ws->rows_act, 1));
    PGD_TRY(emit_linear(b, -1, "head.lm", &ws->rows_act, &b->w->lm_head, &no_bias, &ws->logits,
                        PGD_EPI_NONE, 1));
    o = emit(b, PGD_OP_LOGITS_POST, -1, "head.logits_post");
    if (!o) return b->err->code;
    o->args.logits_post = (pgd_logits_post_args){.logits = ws->logits};
    o = emit(b, PGD_OP_SAMPLE, -1, "head.sample");
    if (!o) return b->err->code;
    o->args.sample = (pgd_sample_args){.logits = ws->logits};
    return PGD_OK;
}

/* Operations that are called outside the program's list. */
static pgd_status require(builder *b, pgd_op op) {
    if (b->p->dev->op[op]) return PGD_OK;
    return pgd_fail(b->err, PGD_E_UNSUPPORTED, "device %s has no operation '%s'",
                    b->p->dev->info.name, pgd_op_name(op));
}

pgd_status program_build(program *p, const pgd_model_spec *s, const exec_weights *w, devmem *mem,
                         const pgd_plan_limits *lim, uint32_t max_model_len, pgd_error *err) {
    builder b = {.p = p, .spec = s, .w = w, .err = err};
    p->dev = mem->dev;
    p->tile_rows = program_tile_rows(mem->dev, lim->max_tokens);
    PGD_TRY(slots_create(&p->slots, lim, mem, err));
    PGD_TRY(step_buffers_create(&p->bufs, lim, mem, err));
    PGD_TRY(make_workspace(&b, mem, lim->max_tokens, max_model_len));
    PGD_TRY(fill_rope(&b, max_model_len));
    PGD_TRY(require(&b, PGD_OP_SLOTS_APPLY));
    PGD_TRY(require(&b, PGD_OP_KV_COPY));
    PGD_TRY(require(&b, PGD_OP_STEP_FILL));
    PGD_TRY(emit_embed(&b));
    for (uint32_t layer = 0; layer < s->n_layers; layer++) {
        PGD_TRY(emit_attn_block(&b, layer));
        if (layer + 1 < s->n_layers) PGD_TRY(emit_ffn_block(&b, layer, 0));
    }
    p->n_body = p->n_ops;
    return emit_head(&b);
}

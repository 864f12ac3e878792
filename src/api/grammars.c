/* Vocabulary and cache of grammars.
 *
 * A grammar is found by a keyed hash of everything that its specification says (names for messages
 * apart), which nobody can make collide. The cache holds a few, the one unused for longest leaves;
 * requests hold references of their own, so leaving never disturbs one. Two workers that compile
 * the same text at once both do, and one result is dropped. The lock is held for a look, never
 * while compiling. Thread: any. */
#include "grammars.h"

#include <pthread.h>
#include <string.h>

#include "pagoda/hash.h"
#include "pagoda/mem.h"

enum { N_CACHED = 16 };

typedef struct entry {
    uint8_t key[16];
    pgd_grammar *g; /* owned reference; NULL: free */
    uint64_t used;
} entry;

struct api_grammars {
    const pgd_tokenizer *tok; /* borrowed */
    pgd_vocab *vocab;
    api_controls controls;
    pgd_sv *control_texts; /* owned; texts are the tokenizer's */
    uint8_t hash_key[32];
    pthread_mutex_t lock; /* guards the rest */
    entry entry[N_CACHED];
    uint64_t now;
};

/* ---- the vocabulary ---- */

typedef struct token_texts {
    pgd_buf bytes;
    size_t *end; /* [n]: where the text of a token ends */
    pgd_sv *sv;  /* [n] */
    uint32_t n;
} token_texts;

static bool is_control(const pgd_tokenizer *tok, const api_formats *formats, int32_t id,
                       bool *needed) {
    if (!pgd_tokenizer_is_special(tok, id)) return false;
    *needed = api_formats_need(formats, pgd_tokenizer_token(tok, id));
    return true;
}

/* What tokens write. Control tokens of formats begin with the control byte, others are empty. */
static bool collect(const pgd_tokenizer *tok, const api_formats *formats, uint32_t vocab_size,
                    api_grammars *g, token_texts *t) {
    const uint32_t known = pgd_tokenizer_vocab_size(tok);
    size_t n_controls = 0;
    t->n = vocab_size;
    t->end = pgd_calloc(vocab_size, sizeof *t->end);
    t->sv = pgd_calloc(vocab_size, sizeof *t->sv);
    g->control_texts = pgd_calloc(known ? known : 1, sizeof *g->control_texts);
    if (!t->end || !t->sv || !g->control_texts) return false;
    for (uint32_t id = 0; id < vocab_size; id++) {
        bool needed = false;
        if (id >= known) {
            /* padding of the model's head: no text */
        } else if (!is_control(tok, formats, (int32_t)id, &needed)) {
            pgd_tokenizer_token_bytes(tok, (int32_t)id, &t->bytes);
        } else if (needed) {
            const pgd_sv text = pgd_tokenizer_token(tok, (int32_t)id);
            pgd_buf_putc(&t->bytes, (char)PGD_GRAMMAR_CONTROL);
            pgd_buf_putsv(&t->bytes, text);
            g->control_texts[n_controls++] = text;
        }
        t->end[id] = t->bytes.n;
    }
    if (t->bytes.failed) return false;
    for (uint32_t id = 0; id < vocab_size; id++) {
        const size_t begin = id ? t->end[id - 1] : 0;
        t->sv[id] = (pgd_sv){t->bytes.p + begin, t->end[id] - begin};
    }
    g->controls = (api_controls){g->control_texts, n_controls};
    return true;
}

static pgd_status make_vocab(api_grammars *g, const pgd_tokenizer *tok, const pgd_model_spec *spec,
                             const api_formats *formats, uint32_t vocab_size, pgd_error *err) {
    token_texts t = {0};
    uint32_t eos[sizeof spec->eos_ids / sizeof spec->eos_ids[0]], n_eos = 0;
    pgd_status st = PGD_E_NOMEM;
    for (uint32_t i = 0; i < spec->n_eos; i++)
        if (spec->eos_ids[i] >= 0 && (uint32_t)spec->eos_ids[i] < vocab_size)
            eos[n_eos++] = (uint32_t)spec->eos_ids[i];
    if (collect(tok, formats, vocab_size, g, &t))
        st = pgd_vocab_create(&g->vocab, t.sv, vocab_size, eos, n_eos, err);
    else
        (void)pgd_fail(err, st, "out of memory for the vocabulary of grammars");
    pgd_buf_fini(&t.bytes);
    pgd_free(t.end);
    pgd_free(t.sv);
    return st;
}

pgd_status api_grammars_create(const pgd_tokenizer *tok, const pgd_model_spec *spec,
                               const api_formats *formats, uint32_t vocab_size, api_grammars **out,
                               pgd_error *err) {
    api_grammars *g = pgd_calloc(1, sizeof *g);
    if (!g) return pgd_fail(err, PGD_E_NOMEM, "out of memory for grammars");
    if (pthread_mutex_init(&g->lock, NULL) != 0) {
        pgd_free(g);
        return pgd_fail(err, PGD_E_NOMEM, "no mutex for grammars");
    }
    g->tok = tok;
    pgd_random_bytes(g->hash_key, sizeof g->hash_key);
    const pgd_status st = make_vocab(g, tok, spec, formats, vocab_size, err);
    if (st != PGD_OK) api_grammars_destroy(&g);
    *out = g;
    return st;
}

void api_grammars_destroy(api_grammars **out) {
    api_grammars *const g = *out;
    if (!g) return;
    *out = NULL;
    for (size_t i = 0; i < N_CACHED; i++)
        pgd_grammar_release(&g->entry[i].g);
    pgd_vocab_destroy(&g->vocab);
    pgd_free(g->control_texts);
    pthread_mutex_destroy(&g->lock);
    pgd_free(g);
}

const api_controls *api_grammars_controls(const api_grammars *g) {
    return &g->controls;
}

bool api_grammars_has_token(const api_grammars *g, const char *text) {
    return pgd_tokenizer_id_of(g->tok, pgd_sv_c(text)) >= 0;
}

/* ---- the cache ---- */

static void put_text(pgd_buf *b, pgd_sv s) {
    const uint64_t n = s.n;
    pgd_buf_put(b, &n, sizeof n);
    pgd_buf_putsv(b, s);
}

/* Everything that makes a difference, without two specifications that read the same. Depth: that
 * of the specification, which our own code built. */
static void put_spec(pgd_buf *b, const pgd_grammar_spec *s) {
    const uint64_t head[] = {s->kind, s->space,     s->lenient, s->min,
                             s->max,  s->n_choices, s->n_parts};
    pgd_buf_put(b, head, sizeof head);
    put_text(b, s->text);
    for (size_t i = 0; i < s->n_choices; i++)
        put_text(b, s->choices[i]);
    for (size_t i = 0; i < s->n_parts; i++)
        put_spec(b, &s->parts[i]);
}

static pgd_grammar *find(api_grammars *g, const uint8_t key[16]) {
    pgd_grammar *found = NULL;
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < N_CACHED && !found; i++) {
        if (!g->entry[i].g || memcmp(g->entry[i].key, key, sizeof g->entry[i].key) != 0) continue;
        g->entry[i].used = ++g->now;
        found = pgd_grammar_retain(g->entry[i].g);
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

static void remember(api_grammars *g, const uint8_t key[16], pgd_grammar *fresh) {
    pthread_mutex_lock(&g->lock);
    entry *oldest = &g->entry[0];
    for (size_t i = 1; i < N_CACHED; i++)
        if (g->entry[i].used < oldest->used) oldest = &g->entry[i];
    pgd_grammar *out = oldest->g;
    memcpy(oldest->key, key, sizeof oldest->key);
    oldest->g = pgd_grammar_retain(fresh);
    oldest->used = ++g->now;
    pthread_mutex_unlock(&g->lock);
    pgd_grammar_release(&out); /* may free much */
}

pgd_status api_grammars_get(api_grammars *g, const pgd_grammar_spec *spec, pgd_grammar **out,
                            pgd_error *err) {
    pgd_buf text = {0};
    uint8_t key[16];
    put_spec(&text, spec);
    const bool failed = text.failed;
    if (!failed) pgd_keyed_hash128(text.p, text.n, g->hash_key, key);
    pgd_buf_fini(&text);
    if (failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory for a grammar");
    *out = find(g, key);
    if (*out) return PGD_OK;
    PGD_TRY(pgd_grammar_compile(out, spec, g->vocab, NULL, err));
    remember(g, key, *out);
    return PGD_OK;
}

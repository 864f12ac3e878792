/* Prompts of a wanted length.
 *
 * Text: words joined by spaces, each of which is one token in the middle of a text. Which words
 * are is measured, eight at a time, with whatever counts tokens (the server's /tokenize or a local
 * tokenizer.json); what begin-of-text and chat template add is measured with them. So a text is
 * right by construction and needs no correction for each request. Every text begins with the same
 * word, because a first word without its space may cost another number of tokens; one shared token
 * is far below any prefix cache's block. One thread. */
#include "bench/prompt.h"

#include "pagoda/jsonw.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum { GROUP = 8, REPEAT = 4, MIN_WORDS = 16, STREAM_OWN = 16, STREAM_PREFIX };

/* Frequent English words, single tokens of nearly every vocabulary. */
static const char *const candidates[] = {
    "the",     "time",     "people", "year",      "way",     "day",      "man",      "thing",
    "woman",   "life",     "child",  "world",     "school",  "state",    "family",   "group",
    "country", "problem",  "hand",   "part",      "place",   "case",     "week",     "company",
    "system",  "question", "work",   "number",    "night",   "point",    "home",     "water",
    "room",    "mother",   "area",   "money",     "story",   "fact",     "month",    "lot",
    "right",   "study",    "book",   "eye",       "job",     "word",     "business", "issue",
    "side",    "kind",     "head",   "house",     "service", "friend",   "father",   "power",
    "hour",    "game",     "line",   "end",       "member",  "law",      "car",      "city",
    "name",    "team",     "minute", "idea",      "body",    "back",     "parent",   "face",
    "level",   "office",   "door",   "health",    "person",  "art",      "war",      "history",
    "party",   "result",   "change", "morning",   "reason",  "research", "girl",     "moment",
    "air",     "force",    "good",   "new",       "first",   "last",     "long",     "great",
    "little",  "own",      "other",  "old",       "big",     "high",     "small",    "large",
    "next",    "early",    "young",  "important", "few",     "public",   "bad",      "same",
    "able",    "have",     "say",    "get",       "make",    "go",       "know",     "take",
    "see",     "come",     "think",  "look",      "want",    "give",     "use",      "find",
    "tell",    "ask",      "seem",   "feel",      "try",     "leave",    "call",     "and",
    "with",    "from",     "into",   "about",     "over",    "after",    "under",    "between",
    "red",     "green",    "blue",   "white",     "black",   "one",      "two",      "three"};
enum { N_CANDIDATES = sizeof(candidates) / sizeof(candidates[0]) };
_Static_assert((int)N_CANDIDATES <= (int)BENCH_MAX_WORDS, "room for every candidate");

static const char first_word[] = "Please";

void bench_prompts_fini(bench_prompts *p) {
    pgd_free(p->id);
    p->id = NULL;
    p->n_id = 0;
}

/* Tokens of "Please" and REPEAT rounds of words[0..n). */
static pgd_status count_words(const char *const *words, uint32_t n, bench_count_fn count, void *ctx,
                              uint64_t *out, pgd_error *err) {
    pgd_buf text = {0};
    pgd_buf_puts(&text, first_word);
    for (uint32_t r = 0; r < REPEAT; r++) {
        for (uint32_t i = 0; i < n; i++) {
            pgd_buf_putc(&text, ' ');
            pgd_buf_puts(&text, words[i]);
        }
    }
    const pgd_status s = text.failed ? pgd_fail(err, PGD_E_NOMEM, "no memory for a prompt")
                                     : count(ctx, pgd_buf_sv(&text), out, err);
    pgd_buf_fini(&text);
    return s;
}

pgd_status bench_prompts_calibrate(bench_prompts *p, bench_count_fn count, void *ctx,
                                   pgd_error *err) {
    uint64_t base = 0;
    PGD_TRY(count_words(NULL, 0, count, ctx, &base, err));
    p->n_words = 0;
    for (uint32_t at = 0; at < N_CANDIDATES; at += GROUP) {
        const uint32_t n = at + GROUP <= N_CANDIDATES ? GROUP : N_CANDIDATES - at;
        uint64_t got = 0;
        PGD_TRY(count_words(candidates + at, n, count, ctx, &got, err));
        const bool all = got == base + (uint64_t)REPEAT * n;
        for (uint32_t i = at; i < at + n; i++) {
            if (!all) PGD_TRY(count_words(candidates + i, 1, count, ctx, &got, err));
            if (all || got == base + REPEAT) p->word[p->n_words++] = candidates[i];
        }
    }
    if (p->n_words < MIN_WORDS)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "only %u of %d common words are single tokens of this vocabulary; text of "
                        "a given length cannot be built from them",
                        p->n_words, (int)N_CANDIDATES);
    p->extra = base > 0 ? (uint32_t)base - 1 : 0;
    return PGD_OK;
}

void bench_prompts_assume(bench_prompts *p) {
    for (uint32_t i = 0; i < N_CANDIDATES; i++)
        p->word[i] = candidates[i];
    p->n_words = N_CANDIDATES;
    p->extra = 0;
}

void bench_prompts_sample(pgd_buf *out) {
    pgd_buf_puts(out, first_word);
    for (uint32_t i = 0; i < N_CANDIDATES; i++)
        pgd_buf_putf(out, " %s", candidates[i]);
}

/* n units drawn from s; `first` says whether they begin the prompt. */
static void put_units(const bench_prompts *p, uint64_t s, uint32_t n, bool first, pgd_buf *out) {
    for (uint32_t i = 0; i < n; i++) {
        if (p->tokens) {
            if (!first) pgd_buf_putc(out, ',');
            pgd_buf_put_u64(out, p->n_id > 0 ? (uint64_t)p->id[bench_below(&s, p->n_id)]
                                             : bench_between(&s, &p->ids));
        } else if (first) {
            pgd_buf_puts(out, first_word);
        } else {
            pgd_buf_putc(out, ' ');
            pgd_buf_puts(out, p->word[bench_below(&s, p->n_words)]);
        }
        first = false;
    }
}

void bench_prompt_put(const bench_prompts *p, const bench_item *item, uint64_t index,
                      pgd_buf *out) {
    const uint32_t extra = p->tokens ? 0 : p->extra;
    const uint32_t n = item->n_in > extra ? item->n_in - extra : 1;
    const uint32_t n_prefix = item->n_prefix < n ? item->n_prefix : n;
    pgd_buf_putc(out, p->tokens ? '[' : '"');
    put_units(p, bench_seed(p->seed, STREAM_PREFIX, item->prefix), n_prefix, true, out);
    put_units(p, bench_seed(p->seed, STREAM_OWN, index), n - n_prefix, n_prefix == 0, out);
    pgd_buf_putc(out, p->tokens ? ']' : '"');
}

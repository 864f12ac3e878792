/* Four small grammars, each against two vocabularies: with the end token 7 and without any. The
 * tokens are short texts over few characters, so that random tokens are often allowed, and some
 * have no text at all and never are. */
#include "sim.h"

static const char *const TEXTS[SIM_VOCAB] = {
    "a",   "b",  "ab",  "ba",  "aa", "bb",  "c",    "</s>", "(", ")",  "((", "))", "()", "x",
    "y",   "xy", "1",   "2",   "12", "0",   "",     ",",    "[", "]",  "{",  "}",  "\"", "\"a",
    "\":", ":",  "a\"", "tru", "e",  "12,", "true", "b,",   "",  "1,", ",1", "-"};

/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): one process, one thread */
static struct {
    pgd_vocab *vocab[2];
    pgd_grammar *g[2][SIM_GRAMMARS];
} sim_set;

bool sim_grammars_create(void) {
    static const struct {
        pgd_grammar_kind kind;
        const char *text;
    } sources[SIM_GRAMMARS] = {
        {PGD_GRAMMAR_REGEX, "[ab]*c?"},         /* may end almost anywhere */
        {PGD_GRAMMAR_REGEX, "(ab|xy){2,20}12"}, /* ends by itself, and only there */
        {PGD_GRAMMAR_EBNF, "root ::= \"(\" root* \")\" | x\nx ::= [xy]"}, /* nests */
        {PGD_GRAMMAR_JSON_SCHEMA,
         "{\"type\":\"array\",\"items\":{\"type\":[\"integer\",\"boolean\"]}}"},
    };
    pgd_sv tokens[SIM_VOCAB];
    const uint32_t eos = 7;
    for (uint32_t i = 0; i < SIM_VOCAB; i++)
        tokens[i] = pgd_sv_c(TEXTS[i]);
    for (uint32_t v = 0; v < 2; v++) {
        if (pgd_vocab_create(&sim_set.vocab[v], tokens, SIM_VOCAB, &eos, v, NULL) != PGD_OK)
            return false;
        for (uint32_t i = 0; i < SIM_GRAMMARS; i++) {
            const pgd_grammar_spec spec = {.kind = sources[i].kind,
                                           .text = pgd_sv_c(sources[i].text)};
            if (pgd_grammar_compile(&sim_set.g[v][i], &spec, sim_set.vocab[v], NULL, NULL) !=
                PGD_OK)
                return false;
        }
    }
    return true;
}

void sim_grammars_destroy(void) {
    for (uint32_t v = 0; v < 2; v++) {
        for (uint32_t i = 0; i < SIM_GRAMMARS; i++)
            pgd_grammar_release(&sim_set.g[v][i]);
        pgd_vocab_destroy(&sim_set.vocab[v]);
    }
}

pgd_grammar *sim_grammar(uint32_t i, bool has_eos) {
    return sim_set.g[has_eos][i - 1];
}

/* The vocabulary that grammars are compiled against, and the grammars compiled of late: clients ask
 * for the same schema again and again, and a grammar that has run knows its masks. */
#ifndef PAGODA_API_GRAMMARS_H
#define PAGODA_API_GRAMMARS_H

#include "pagoda/grammar.h"
#include "pagoda/model.h"
#include "pagoda/tokenizer.h"
#include "parse.h"

/* Texts of the control tokens that output formats are made of. */
typedef struct api_controls {
    const pgd_sv *v;
    size_t n;
} api_controls;

typedef struct api_grammars api_grammars;

/* vocab_size: of the device. The tokenizer and the formats are borrowed until destroy. Control
 * tokens that no format needs can never be generated under a grammar. Errors: PGD_E_NOMEM,
 * PGD_E_INVALID. Thread: any. */
pgd_status api_grammars_create(const pgd_tokenizer *tok, const pgd_model_spec *spec,
                               const api_formats *formats, uint32_t vocab_size, api_grammars **out,
                               pgd_error *err);
/* No grammar may be in use any more. NULL-safe. */
void api_grammars_destroy(api_grammars **g);
const api_controls *api_grammars_controls(const api_grammars *g);
/* Whether the vocabulary has a token that is this text. */
bool api_grammars_has_token(const api_grammars *g, const char *text);
/* One reference to a grammar of spec, compiled now or found again. Errors: those of
 * pgd_grammar_compile. Thread: any, several at once. */
pgd_status api_grammars_get(api_grammars *g, const pgd_grammar_spec *spec, pgd_grammar **out,
                            pgd_error *err);

#endif

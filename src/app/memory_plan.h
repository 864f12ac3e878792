/* The memory plan as text and as JSON: one wording for serve's log and for doctor. */
#ifndef PGD_APP_MEMORY_PLAN_H
#define PGD_APP_MEMORY_PLAN_H

#include "pagoda/exec.h"
#include "pagoda/jsonw.h"
#include "pagoda/str.h"

/* Append one line without its end: what each part takes, what there was, and how many sequences of
 * full length the KV blocks hold. graphs_known: they were recorded, or are not wanted. Errors: as
 * those of buffers. */
void pgd_memory_plan_put(const pgd_exec_info *i, bool graphs_known, pgd_buf *out);
/* The same numbers as one object, in bytes and tokens. */
void pgd_memory_plan_json(const pgd_exec_info *i, pgd_jsonw *w);
/* Sequences of max_model_len tokens that fit into the KV blocks at once. */
uint32_t pgd_memory_plan_sequences(const pgd_exec_info *i);

#endif

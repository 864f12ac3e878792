/* The weight files of a model folder, and which tensors fill which slot. */
#ifndef PAGODA_MODEL_WEIGHTS_H
#define PAGODA_MODEL_WEIGHTS_H

#include "pagoda/model.h"
#include "safetensors.h"

typedef struct weights weights;

/* Open model.safetensors, or the shards of model.safetensors.index.json. */
pgd_status weights_open(const char *dir, weights **out, pgd_error *err);
void weights_close(weights **w);
/* Let the pages of all files go. */
void weights_idle(const weights *w);
/* Type of the embedding as stored. Errors: it is missing or no float. */
pgd_status weights_dtype(const weights *w, pgd_dtype *out, pgd_error *err);

/* Whether a model of this spec has the slot; number of parts and shape of each. */
bool slot_exists(const pgd_model_spec *s, pgd_slot_kind kind);
uint32_t slot_n_parts(pgd_slot_kind kind);
/* A view without data: shape [rows] or [rows, cols], dtype of the spec. */
pgd_tensor slot_part_shape(const pgd_model_spec *s, pgd_slot_kind kind, uint32_t part);
/* Fill a slot from the files. Errors: tensor missing, shape, type; names file and tensor. */
pgd_status weights_slot(weights *w, const pgd_model_spec *s, pgd_slot_kind kind, uint32_t layer,
                        pgd_slot_parts *out, pgd_error *err);
/* After all slots were filled: every tensor was asked for or is known to be redundant. */
pgd_status weights_check_unused(const weights *w, const pgd_model_spec *s, pgd_error *err);

#endif

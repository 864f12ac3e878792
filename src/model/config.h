/* Parts of config.c that live in files of their own. */
#ifndef PAGODA_MODEL_CONFIG_H
#define PAGODA_MODEL_CONFIG_H

#include "fields.h"
#include "pagoda/model.h"

/* Fill spec->rope and scale spec->max_position, from rope_scaling + rope_theta or rope_parameters.
 * Needs head_dim and max_position (as the file has it). */
pgd_status config_rope(const fields *root, pgd_model_spec *spec, pgd_error *err);
/* Append the ids of a field that holds an integer or a list of them; ids already there are skipped.
 */
pgd_status config_token_ids(const fields *f, const char *key, uint32_t vocab_size, int32_t *ids,
                            uint32_t *n, uint32_t max, pgd_error *err);

#endif

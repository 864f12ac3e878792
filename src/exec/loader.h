/* Weights on the device, in the shape the program wants them. */
#ifndef PAGODA_EXEC_LOADER_H
#define PAGODA_EXEC_LOADER_H

#include <stdatomic.h>

#include "devmem.h"
#include "pagoda/device.h"
#include "pagoda/model.h"

/* Tensors without data belong to slots that the model lacks. Norms and biases are f32. */
typedef struct layer_weights {
    pgd_tensor attn_norm, q_norm, k_norm, ffn_norm;
    pgd_tensor qkv_bias, o_bias, gate_up_bias, down_bias;
    pgd_weight qkv, o, gate_up, down;
} layer_weights;

typedef struct exec_weights {
    pgd_tensor embed; /* [vocab, d_model], mapped file as stored, or device memory in model type */
    pgd_tensor final_norm;
    pgd_weight lm_head;
    layer_weights *layer; /* owned, [n_layers] */
    uint32_t n_layers;
    uint64_t bytes; /* packed and copied; the mapped embedding does not count */
} exec_weights;

/* Move every slot of the model to the device. progress (may be NULL) is written with 0..1000.
 * out is freed by loader_free in any case. Thread: the rank's. Errors: PGD_E_NOMEM, naming the
 * weight. */
pgd_status loader_load(const pgd_model *model, devmem *mem, _Atomic uint32_t *progress,
                       exec_weights *out, pgd_error *err);
void loader_free(pgd_device *dev, exec_weights *w);
/* Bytes that the device will hold after loading (before panel padding). */
uint64_t loader_estimate(const pgd_model *model, const pgd_device *dev);

#endif

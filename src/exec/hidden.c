/* Reading the hidden states of a step's result, whatever type the device computes them in. Thread:
 * the engine's. */
#include "pagoda/exec.h"
#include "pagoda/tensor.h"

void pgd_exec_add_hidden(const pgd_exec_info *info, const void *hidden, size_t row, double *sum) {
    const size_t width = info->hidden_width, at = row * width;
    const uint16_t *const half = (const uint16_t *)hidden + at;
    for (size_t j = 0; j < width; j++) {
        switch (info->hidden_type) {
        case PGD_BF16:
            sum[j] += (double)pgd_bf16_to_f32(half[j]);
            break;
        case PGD_F16:
            sum[j] += (double)pgd_f16_to_f32(half[j]);
            break;
        default:
            sum[j] += (double)((const float *)hidden)[at + j];
            break;
        }
    }
}

/* One safetensors file as a table of named byte ranges. */
#ifndef PAGODA_MODEL_SAFETENSORS_H
#define PAGODA_MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"
#include "pagoda/tensor.h"

enum { ST_MAX_DIMS = 8 };

typedef struct st_tensor {
    pgd_sv name;   /* borrowed from the open file */
    bool is_float; /* dtype holds: F32, BF16 or F16; else dtype is meaningless */
    pgd_dtype dtype;
    const char *type_name; /* as the file spells it ("BF16", "I64"), static */
    uint32_t ndim;
    uint64_t shape[ST_MAX_DIMS];
    const uint8_t *data; /* borrowed from the map; any alignment */
    uint64_t begin, end; /* byte range in the data section */
} st_tensor;

typedef struct st_file st_file;

/* Map the file and check its header: length, JSON, types, shapes, byte ranges (inside the file, no
 * overlap, no hole, none left over), no name twice. Errors name the path and the tensor. */
pgd_status st_open(const char *path, st_file **out, pgd_error *err);
/* The same over bytes in memory, borrowed until close; name is used in messages. */
pgd_status st_open_bytes(const char *name, const uint8_t *bytes, size_t n, st_file **out,
                         pgd_error *err);
void st_close(st_file **f);
/* Its tensors were copied: let the mapped pages go. */
void st_idle(const st_file *f);
const char *st_path(const st_file *f);
size_t st_count(const st_file *f);
const st_tensor *st_at(const st_file *f, size_t i);
/* NULL when there is none of that name. */
const st_tensor *st_find(const st_file *f, pgd_sv name);

#endif

/* Files: whole reads with a bound, read-only maps, and paths. Thread: any. */
#ifndef PAGODA_FS_H
#define PAGODA_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

/* Append the file to out. Errors: PGD_E_NOT_FOUND, PGD_E_IO, PGD_E_LIMIT (larger than max_bytes);
 * messages name the path. */
pgd_status pgd_fs_read(const char *path, size_t max_bytes, pgd_buf *out, pgd_error *err);
bool pgd_fs_exists(const char *path);
bool pgd_fs_is_dir(const char *path);

typedef struct pgd_fs_map {
    const uint8_t *data;
    size_t bytes;
} pgd_fs_map;
/* Map a regular file read-only. An empty file gives {NULL, 0}. */
pgd_status pgd_fs_map_open(const char *path, pgd_fs_map *out, pgd_error *err);
void pgd_fs_map_close(pgd_fs_map *m);
/* The map will hardly be read from now on: its pages stop counting as this process's memory. They
 * come back from the file when they are touched. */
void pgd_fs_map_idle(const pgd_fs_map *m);

/* out = dir "/" name, bounded. Errors: PGD_E_LIMIT. */
pgd_status pgd_fs_join(char *out, size_t out_bytes, const char *dir, const char *name,
                       pgd_error *err);

#endif

/* Opens libpagoda_cuda.so, the CUDA backend, at run time.
 *
 * The executable links nothing of CUDA, so that one binary serves machines with and without a GPU.
 * The library is looked for beside the executable (a build folder) and in ../lib/pagoda (an
 * installation), nowhere else: a library path is no place from which to load code that decides
 * results. It is never closed again, since the driver keeps threads of its own. Thread: the
 * rank's. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cuda_library.h"

static const char *const places[] = {"", "../lib/pagoda/"};

/* The folder of the executable, with a slash at its end. */
static pgd_status executable_folder(char *out, size_t room, pgd_error *err) {
    const ssize_t n = readlink("/proc/self/exe", out, room - 1);
    if (n <= 0) return pgd_fail(err, PGD_E_NOT_FOUND, "cannot tell where the executable lies");
    out[n] = '\0';
    char *const slash = strrchr(out, '/');
    if (slash) slash[1] = '\0';
    return PGD_OK;
}

static pgd_status find_library(char *out, size_t room, pgd_error *err) {
    char folder[PATH_MAX];
    PGD_TRY(executable_folder(folder, sizeof folder, err));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const int n = snprintf(out, room, "%s%s" PGD_CUDA_FILE, folder, places[i]);
        if (n > 0 && (size_t)n < room && access(out, R_OK) == 0) return PGD_OK;
    }
    return pgd_fail(err, PGD_E_NOT_FOUND,
                    "no CUDA backend: " PGD_CUDA_FILE " is neither in %s nor in %s../lib/pagoda",
                    folder, folder);
}

pgd_status pgd_device_open_cuda(pgd_device **out, pgd_error *err) {
    char path[PATH_MAX + 64];
    PGD_TRY(find_library(path, sizeof path, err));
    void *const lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "cannot load the CUDA backend: %s", dlerror());
    const pgd_cuda_library *const face = dlsym(lib, PGD_CUDA_SYMBOL);
    if (!face)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "%s is no CUDA backend of this program", path);
    if (strncmp(face->build_id, PGD_BUILD_ID, sizeof face->build_id) != 0)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "%s belongs to build %.16s, this executable to %.16s: install both from "
                        "one build",
                        path, face->build_id, PGD_BUILD_ID);
    return face->open(out, err);
}

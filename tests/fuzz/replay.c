/* Runs a fuzz target over the files of the folders it is given: the form in which the corpora are
 * tests of every build, without libFuzzer. Fails when a folder holds no file, since a test of
 * nothing would pass for ever. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "pagoda/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Number of files run, or -1 with a message. */
static int run_folder(const char *folder) {
    int count = 0;
    DIR *dir = opendir(folder);
    if (!dir) {
        (void)fprintf(stderr, "cannot open folder '%s'\n", folder);
        return -1;
    }
    for (const struct dirent *e = readdir(dir); e && count >= 0; e = readdir(dir)) {
        char path[4096];
        pgd_error err = {0};
        pgd_buf text = {0};
        if (e->d_name[0] == '.') continue;
        if (pgd_fs_join(path, sizeof path, folder, e->d_name, &err) != PGD_OK ||
            pgd_fs_read(path, (size_t)64 << 20, &text, &err) != PGD_OK) {
            (void)fprintf(stderr, "%s\n", err.msg);
            count = -1;
        } else {
            (void)LLVMFuzzerTestOneInput((const uint8_t *)text.p, text.n);
            count++;
        }
        pgd_buf_fini(&text);
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const int count = run_folder(argv[i]);
        (void)printf("%s: %d inputs\n", argv[i], count);
        if (count <= 0) return 1;
    }
    return argc > 1 ? 0 : 1;
}

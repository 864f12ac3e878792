/* What a result file says about where it was made.
 *
 * A figure without its machine, date and command is worth nothing, so every result begins with
 * them. User, host name and addresses stay out: result files are published. One thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pagoda/bench.h"
#include "pagoda/clock.h"
#include "pagoda/cpu.h"
#include "pagoda/fs.h"

/* The value of the first "model name" line of /proc/cpuinfo; other machines say "unknown". */
static void put_cpu_name(pgd_jsonw *w) {
    pgd_buf text = {0};
    pgd_sv name = PGD_SV("unknown");
    if (pgd_fs_read("/proc/cpuinfo", 16u << 20, &text, NULL) == PGD_OK) {
        const pgd_sv all = pgd_buf_sv(&text);
        const size_t at = pgd_sv_find(all, PGD_SV("model name"), 0);
        const size_t from = at < all.n ? pgd_sv_find(all, PGD_SV(": "), at) : SIZE_MAX;
        const size_t to = from < all.n ? pgd_sv_find(all, PGD_SV("\n"), from) : SIZE_MAX;
        if (to < all.n && pgd_utf8_valid_prefix(all.p + from + 2, to - from - 2) == to - from - 2)
            name = (pgd_sv){all.p + from + 2, to - from - 2};
    }
    pgd_jsonw_key(w, "cpu");
    pgd_jsonw_str(w, name);
    pgd_buf_fini(&text);
}

static void put_kernel(pgd_jsonw *w) {
    pgd_buf text = {0};
    if (pgd_fs_read("/proc/sys/kernel/osrelease", 4096, &text, NULL) == PGD_OK && text.n > 0) {
        pgd_jsonw_key(w, "kernel");
        pgd_jsonw_str(w, (pgd_sv){text.p, pgd_utf8_valid_prefix(text.p, text.n - 1)});
    }
    pgd_buf_fini(&text);
}

void pgd_bench_put_environment(pgd_jsonw *w, const char *version, int n_args,
                               const char *const *args) {
    pgd_jsonw_key(w, "pagoda");
    pgd_jsonw_cstr(w, version);
    char date[32] = "";
    const time_t now = (time_t)(pgd_wall_ns() / 1000000000u);
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        date[0] = 0;
    pgd_jsonw_key(w, "date");
    pgd_jsonw_cstr(w, date);
    pgd_jsonw_key(w, "command");
    pgd_jsonw_arr(w);
    for (int i = 0; i < n_args; i++) {
        const size_t n = strlen(args[i]);
        pgd_jsonw_str(w, (pgd_sv){args[i], pgd_utf8_valid_prefix(args[i], n)});
    }
    pgd_jsonw_end_arr(w);
    pgd_jsonw_key(w, "environment");
    pgd_jsonw_obj(w);
    put_cpu_name(w);
    pgd_jsonw_key(w, "isa");
    pgd_jsonw_cstr(w, pgd_isa_name(pgd_cpu_detect()));
    pgd_jsonw_key(w, "cores");
    pgd_jsonw_u64(w, pgd_cpu_count());
    pgd_jsonw_key(w, "memory_bytes");
    pgd_jsonw_u64(w, pgd_mem_total());
    put_kernel(w);
    pgd_jsonw_key(w, "compiler"); /* of this program */
    pgd_jsonw_cstr(w, __VERSION__);
    pgd_jsonw_key(w, "optimized");
#ifdef __OPTIMIZE__
    pgd_jsonw_bool(w, true);
#else
    pgd_jsonw_bool(w, false);
#endif
    pgd_jsonw_end_obj(w);
}

pgd_status pgd_bench_write_file(const char *path, pgd_sv text, pgd_error *err) {
    FILE *f = fopen(path, "wb");
    if (f == NULL) return pgd_fail(err, PGD_E_IO, "cannot write %s: %s", path, strerror(errno));
    const bool whole = fwrite(text.p, 1, text.n, f) == text.n;
    if (fclose(f) != 0 || !whole)
        return pgd_fail(err, PGD_E_IO, "cannot write %s: %s", path, strerror(errno));
    return PGD_OK;
}

/* bench_tokenizer TOKENIZER.JSON [TEXT_FILE]: encoding and decoding speed.
 *
 * Times 1 MiB of the given file's text (repeated when shorter; a built-in paragraph without one)
 * and 1 MiB of each of a list of patterns that are hard on one stage or another. Each figure is the
 * best of five runs, in milliseconds for the whole MiB; load is a single run. */
#include <stdio.h>
#include <string.h>

#include "pagoda/clock.h"
#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "pagoda/tokenizer.h"

enum { MIB = 1 << 20, RUNS = 5 };

static const char PARAGRAPH[] =
    "The tokenizer splits text into pieces, and it's measured here on 1,024 KiB of this paragraph. "
    "if (x->n > 0 && y[i] != 0x1F) { return f(x, y + 1); }\n\tNaïve café – déjà vu. 你好，世界。\n";

/* One MiB of unit repeated, cut at a whole unit. */
static void fill(pgd_buf *b, pgd_sv unit) {
    pgd_buf_clear(b);
    while (unit.n > 0 && b->n + unit.n <= MIB) {
        pgd_buf_putsv(b, unit);
    }
}

static uint64_t now(void) {
    const pgd_clock clock = pgd_clock_monotonic();
    return pgd_clock_now(&clock);
}

static double ms_since(uint64_t start) {
    return (double)(now() - start) * 1e-6;
}

static int measure(const pgd_tokenizer *tok, const char *name, pgd_sv text) {
    double encode = 1e30, decode = 1e30;
    size_t n_ids = 0;
    pgd_error err = {0};
    for (int run = 0; run < RUNS; run++) {
        pgd_ids ids = {0};
        pgd_buf out = {0};
        uint64_t start = now();
        if (pgd_tokenizer_encode(tok, text, 0, NULL, 0, &ids, &err) != PGD_OK) {
            fprintf(stderr, "%s: %s\n", name, err.msg);
            return 1;
        }
        const double e = ms_since(start);
        start = now();
        if (pgd_tokenizer_decode(tok, ids.v, ids.n, false, &out, &err) != PGD_OK) {
            fprintf(stderr, "%s: %s\n", name, err.msg);
            return 1;
        }
        const double d = ms_since(start);
        encode = e < encode ? e : encode;
        decode = d < decode ? d : decode;
        n_ids = ids.n;
        pgd_ids_fini(&ids);
        pgd_buf_fini(&out);
    }
    printf("%-22s %9zu ids   encode %8.1f ms   decode %8.1f ms\n", name, n_ids, encode, decode);
    return 0;
}

int main(int argc, char **argv) {
    static const char *const patterns[][2] = {{"letter a", "a"},
                                              {"spaces", " "},
                                              {"newlines", "\n"},
                                              {"emoji", "\xF0\x9F\x98\x80"},
                                              {"ab", "ab"},
                                              {"CJK", "\xE4\xB8\xAD"},
                                              {"marks", "\xCC\x81\xCC\xA7"},
                                              {"digits", "1"},
                                              {"punctuation", "!"},
                                              {"space newline", " \n"}};
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    pgd_buf file = {0}, text = {0};
    int rc = 0;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s TOKENIZER.JSON [TEXT_FILE]\n", argv[0]);
        return 2;
    }
    const uint64_t start = now();
    if (pgd_tokenizer_load(argv[1], &tok, &err) != PGD_OK ||
        (argc == 3 && pgd_fs_read(argv[2], MIB, &file, &err) != PGD_OK)) {
        fprintf(stderr, "%s\n", err.msg);
        rc = 1;
    } else {
        printf("load %.1f ms, %u ids; 1 MiB of each:\n", ms_since(start),
               pgd_tokenizer_vocab_size(tok));
        file.n = pgd_utf8_valid_prefix(file.p, file.n);
        fill(&text, argc == 3 ? pgd_buf_sv(&file) : PGD_SV(PARAGRAPH));
        rc = measure(tok, "text", pgd_buf_sv(&text));
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
            fill(&text, pgd_sv_c(patterns[i][1]));
            rc |= measure(tok, patterns[i][0], pgd_buf_sv(&text));
        }
    }
    pgd_buf_fini(&text);
    pgd_buf_fini(&file);
    pgd_tokenizer_destroy(&tok);
    return rc;
}

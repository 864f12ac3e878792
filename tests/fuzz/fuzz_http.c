/* Request heads and chunked bodies: never read outside the input, and the same verdict however the
 * bytes arrive. The first byte of the input chooses the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

/* Parse with a copy of exactly n bytes, so that the sanitizer sees any read past them. */
static pgd_parse parse_copy(const char *in, size_t n, size_t *from, pgd_http_head *h, size_t *bytes,
                            int *status) {
    const char *why = NULL;
    char *copy = malloc(n + 1);
    check(copy != NULL);
    memcpy(copy, in, n);
    const pgd_parse r = pgd_http_parse_head(copy, n, 4096, from, h, bytes, status, &why);
    if (r == PGD_PARSE_BAD) check(why != NULL && *status >= 400);
    if (r == PGD_PARSE_OK) check(*bytes <= n && h->n_fields <= PGD_HTTP_MAX_HEADERS);
    free(copy);
    return r;
}

static void fuzz_head(const char *in, size_t n, size_t piece) {
    pgd_http_head whole_head, head;
    size_t whole_bytes = 0, bytes = 0, from = 0;
    int whole_status = 0, status = 0;
    const pgd_parse whole = parse_copy(in, n, &from, &whole_head, &whole_bytes, &whole_status);
    pgd_parse r = PGD_PARSE_MORE;
    from = 0;
    for (size_t have = piece; r == PGD_PARSE_MORE; have += piece) {
        r = parse_copy(in, have < n ? have : n, &from, &head, &bytes, &status);
        if (have >= n) break;
    }
    check(r == whole && bytes == whole_bytes && status == whole_status);
}

static void fuzz_chunked(const char *in, size_t n, size_t piece) {
    pgd_buf whole = {0}, parts = {0};
    pgd_chunked c = {0}, d = {0};
    size_t used = 0, at = 0;
    int status = 0;
    const char *why = NULL;
    const pgd_parse want = pgd_chunked_decode(&c, in, n, 4096, &whole, &used, &status, &why);
    pgd_parse got = PGD_PARSE_MORE;
    while (at < n && got == PGD_PARSE_MORE) {
        size_t step = 0;
        got = pgd_chunked_decode(&d, in + at, n - at < piece ? n - at : piece, 4096, &parts, &step,
                                 &status, &why);
        at += step;
    }
    check(got == want);
    if (want == PGD_PARSE_OK)
        check(at == used && pgd_sv_eq(pgd_buf_sv(&whole), pgd_buf_sv(&parts)));
    pgd_buf_fini(&whole);
    pgd_buf_fini(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const size_t piece = (size_t)data[0] % 64 + 1;
    const char *in = (const char *)data + 1;
    fuzz_head(in, size - 1, piece);
    fuzz_chunked(in, size - 1, piece);
    return 0;
}

/* The safetensors reader: good files, and every way a header can lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/safetensors.h"
#include "pagoda/mem.h"

/* A file in memory: header text and n data bytes. */
typedef struct file {
    uint8_t *p;
    size_t n;
} file;

static file make(const char *header, size_t n_data) {
    const size_t h = strlen(header);
    file f = {pgd_calloc(8 + h + n_data + 1, 1), 8 + h + n_data};
    assert_non_null(f.p);
    for (int i = 0; i < 8; i++)
        f.p[i] = (uint8_t)(h >> 8 * i);
    memcpy(f.p + 8, header, h);
    for (size_t i = 0; i < n_data; i++)
        f.p[8 + h + i] = (uint8_t)i;
    return f;
}

static void refused(const char *header, size_t n_data, pgd_status status, const char *text) {
    const file f = make(header, n_data);
    st_file *st = NULL;
    pgd_error err = {0};
    assert_int_equal(st_open_bytes("m.safetensors", f.p, f.n, &st, &err), status);
    assert_null(st);
    if (!strstr(err.msg, text) || !strstr(err.msg, "m.safetensors"))
        fail_msg("'%s' does not mention '%s'", err.msg, text);
    pgd_free(f.p);
}

static void tensors_are_views_of_the_file(void **state) {
    (void)state;
    const file f = make("{\"__metadata__\":{\"format\":\"pt\"},"
                        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[6,14]},"
                        "\"a\":{\"dtype\":\"BF16\",\"shape\":[3,1],\"data_offsets\":[0,6]},"
                        "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[6,6]},"
                        "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[14,22]}}   ",
                        22);
    st_file *st = NULL;
    pgd_error err = {0};
    if (st_open_bytes("m", f.p, f.n, &st, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_int_equal(st_count(st), 4);
    const st_tensor *a = st_find(st, PGD_SV("a")), *b = st_find(st, PGD_SV("b"));
    assert_non_null(a);
    assert_non_null(b);
    assert_true(a->is_float && a->dtype == PGD_BF16 && a->ndim == 2);
    assert_int_equal(a->shape[0], 3);
    assert_int_equal(a->data[0], 0);
    assert_true(b->is_float && b->dtype == PGD_F32);
    assert_int_equal(b->data[0], 6);
    assert_false(st_find(st, PGD_SV("scalar"))->is_float);
    assert_string_equal(st_find(st, PGD_SV("scalar"))->type_name, "I64");
    assert_null(st_find(st, PGD_SV("__metadata__")));
    assert_null(st_find(st, PGD_SV("c")));
    st_close(&st);
    assert_null(st);
    pgd_free(f.p);
}

static void a_header_length_beyond_the_file_is_refused(void **state) {
    (void)state;
    file f = make("{}", 0);
    st_file *st = NULL;
    pgd_error err = {0};
    for (size_t n = 0; n < 8; n++)
        assert_int_equal(st_open_bytes("m", f.p, n, &st, &err), PGD_E_FORMAT);
    f.p[0] = 3;
    assert_int_equal(st_open_bytes("m", f.p, f.n, &st, &err), PGD_E_FORMAT);
    memset(f.p, 0xff, 8);
    assert_int_equal(st_open_bytes("m", f.p, f.n, &st, &err), PGD_E_FORMAT);
    assert_non_null(strstr(err.msg, "header length"));
    pgd_free(f.p);
}

static void a_lying_header_is_refused(void **state) {
    (void)state;
#define T(name, dtype, shape, off)                                                                 \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" off "}"
    refused("[]", 0, PGD_E_FORMAT, "expected an object");
    refused("{\"a\":1}", 0, PGD_E_FORMAT, "'a' is");
    refused("{\"a\"", 0, PGD_E_FORMAT, "header");
    refused("{" T("a", "Q4", "[1]", "[0,4]") "}", 4, PGD_E_UNSUPPORTED, "Q4");
    refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, PGD_E_FORMAT, "dtype");
    refused("{" T("a", "F32", "1", "[0,4]") "}", 4, PGD_E_FORMAT, "shape");
    refused("{" T("a", "F32", "[-1]", "[0,4]") "}", 4, PGD_E_FORMAT, "dimension 0");
    refused("{" T("a", "F32", "[1.5]", "[0,4]") "}", 4, PGD_E_FORMAT, "dimension 0");
    refused("{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, PGD_E_FORMAT, "dimensions");
    refused("{" T("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, PGD_E_FORMAT,
            "overflows");
    refused("{" T("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, PGD_E_FORMAT, "overflows");
    refused("{" T("a", "F32", "[1]", "[0]") "}", 4, PGD_E_FORMAT, "data_offsets");
    refused("{" T("a", "F32", "[1]", "[4,0]") "}", 4, PGD_E_FORMAT, "data_offsets");
    refused("{" T("a", "F32", "[1]", "[-4,0]") "}", 4, PGD_E_FORMAT, "data_offsets");
    refused("{" T("a", "F32", "[1]", "\"x\"") "}", 4, PGD_E_FORMAT, "data_offsets");
    refused("{" T("a", "F32", "[2]", "[0,8]") "}", 4, PGD_E_FORMAT, "is it complete?");
    refused("{" T("a", "F32", "[2]", "[0,4]") "}", 4, PGD_E_FORMAT, "spans 4 bytes");
    refused("{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[0,4]") "}", 4,
            PGD_E_FORMAT, "overlaps");
    refused("{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[1]", "[4,8]") "}", 8,
            PGD_E_FORMAT, "overlaps");
    refused("{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[8,12]") "}", 12,
            PGD_E_FORMAT, "a hole");
    refused("{" T("a", "F32", "[1]", "[0,4]") "}", 5, PGD_E_FORMAT, "its tensors end at 4");
    refused("{" T("a", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[4,8]") "}", 8,
            PGD_E_FORMAT, "twice");
#undef T
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    const file f = make("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    st_file *st = NULL;
    for (int64_t n = 0;; n++) {
        pgd_error err = {0};
        (void)pgd_mem_fail_after(n);
        const pgd_status s = st_open_bytes("m", f.p, f.n, &st, &err);
        (void)pgd_mem_fail_after(-1);
        if (s == PGD_OK) break;
        assert_int_equal(s, PGD_E_NOMEM);
        assert_null(st);
    }
    st_close(&st);
    pgd_free(f.p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_views_of_the_file),
        cmocka_unit_test(a_header_length_beyond_the_file_is_refused),
        cmocka_unit_test(a_lying_header_is_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("model_safetensors", tests, NULL, NULL);
}

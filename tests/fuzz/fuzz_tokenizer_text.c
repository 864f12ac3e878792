/* Fuzz target of encoding: any valid text through tokenizers that lose nothing. Decoding must give
 * the text back, and without control spans no added token may appear in the ids.
 * The first byte of the input picks the tokenizer and the flags. */
#include <stdint.h>
#include <stdio.h>

#include "pagoda/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Byte-level BPE: all 256 bytes as their characters, and some merges. */
static void byte_level_json(pgd_buf *json) {
    static const char *const merges[][2] = {
        {"a", "a"}, {"aa", "a"}, {"aa", "aa"},        {"\xC4\xA0", "\xC4\xA0"},
        {"t", "h"}, {"th", "e"}, {"\xC4\xA0", "the"}, {"\xC3\xB0", "\xC5\x81"}};
    pgd_buf_puts(json, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned b = 0; b < 256; b++) {
        char s[4];
        const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
        uint32_t cp = b;
        if (!printable) cp = b < 33 ? 256 + b : b == 173 ? 256 + 67 : 256 + 33 + (b - 127);
        const size_t n = pgd_utf8_encode(cp, s);
        pgd_buf_putf(json, "\"%s%.*s\":%u,", b == '"' || b == '\\' ? "\\" : "", (int)n, s, b);
    }
    for (unsigned i = 0; i < sizeof merges / sizeof *merges; i++) {
        pgd_buf_putf(json, "%s\"%s%s\":%u", i > 0 ? "," : "", merges[i][0], merges[i][1], 256 + i);
    }
    pgd_buf_puts(json, "},\"merges\":[");
    for (unsigned i = 0; i < sizeof merges / sizeof *merges; i++) {
        pgd_buf_putf(json, "%s[\"%s\",\"%s\"]", i > 0 ? "," : "", merges[i][0], merges[i][1]);
    }
    pgd_buf_puts(
        json,
        "]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
        "\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
        "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
        "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\"},"
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
        "\"decoder\":{\"type\":\"ByteLevel\"}");
}

/* SentencePiece-like BPE with byte fallback and one word per text. */
static void fallback_json(pgd_buf *json) {
    pgd_buf_puts(json, "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{");
    for (unsigned b = 0; b < 256; b++) {
        pgd_buf_putf(json, "\"<0x%02X>\":%u,", b, b);
    }
    pgd_buf_puts(json,
                 "\"\xE2\x96\x81\":256,\"a\":257,\"aa\":258,\"\xE2\x96\x81"
                 "a\":259},\"merges\":"
                 "[[\"a\",\"a\"],[\"\xE2\x96\x81\",\"a\"]]},\"normalizer\":{\"type\":\"Sequence\","
                 "\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},{\"type\":"
                 "\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]},"
                 "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
                 "\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":"
                 "\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \","
                 "\"start\":1,\"stop\":0}]}");
}

/* The tokenizer, made once per process: compiling its pattern costs a hundred times an input. */
static const pgd_tokenizer *get(bool byte_level) {
    static pgd_tokenizer *made[2];
    if (made[byte_level] != NULL) return made[byte_level];
    pgd_buf json = {0};
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    (byte_level ? byte_level_json : fallback_json)(&json);
    pgd_buf_puts(&json, ",\"added_tokens\":[{\"id\":300,\"content\":\"<|c|>\",\"special\":true,"
                        "\"normalized\":false}]}");
    if (pgd_tokenizer_parse(pgd_buf_sv(&json), &tok, &err) != PGD_OK) {
        fprintf(stderr, "%s\n", err.msg);
        PGD_ASSERT(false);
    }
    pgd_buf_fini(&json);
    made[byte_level] = tok;
    return tok;
}

/* ids must decode to text; `same` is false where ▁ in the text makes decoding ambiguous. */
static void check(const pgd_tokenizer *tok, pgd_sv text, const pgd_ids *ids, bool same) {
    pgd_buf whole = {0}, parts = {0};
    pgd_detok *d = NULL;
    PGD_ASSERT(pgd_tokenizer_decode(tok, ids->v, ids->n, false, &whole, NULL) == PGD_OK);
    if (same) PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(&whole), text));
    PGD_ASSERT(pgd_detok_create(tok, false, &d) == PGD_OK);
    for (size_t i = 0; i < ids->n; i++) {
        PGD_ASSERT(pgd_detok_push(d, ids->v[i], &parts) == PGD_OK);
    }
    PGD_ASSERT(pgd_detok_flush(d, &parts) == PGD_OK);
    PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(&whole), pgd_buf_sv(&parts)));
    pgd_detok_destroy(&d);
    pgd_buf_fini(&whole);
    pgd_buf_fini(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const bool byte_level = (data[0] & 1) != 0, controlled = (data[0] & 2) != 0;
    pgd_sv text = {(const char *)data + 1, size - 1};
    text.n = pgd_utf8_valid_prefix(text.p, text.n);
    const pgd_tokenizer *const tok = get(byte_level);
    pgd_ids ids = {0};
    const int32_t added = pgd_tokenizer_id_of(tok, PGD_SV("<|c|>"));
    const pgd_status st = pgd_tokenizer_encode(tok, text, controlled ? PGD_ENCODE_CONTROL_SPANS : 0,
                                               NULL, 0, &ids, NULL);
    PGD_ASSERT(st == PGD_OK);
    bool cut = false; /* an added token cuts the text, and each part gets its own prefix */
    for (size_t i = 0; i < ids.n; i++) {
        PGD_ASSERT(!controlled || ids.v[i] != added);
        cut = cut || ids.v[i] == added;
    }
    const bool marker = pgd_sv_find(text, PGD_SV("\xE2\x96\x81"), 0) != SIZE_MAX;
    check(tok, text, &ids, byte_level || (!cut && !marker));
    pgd_ids_fini(&ids);
    return 0;
}

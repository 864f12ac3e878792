/* The YAML file: a flat mapping of the table's names to scalars or lists of scalars, read as
 * libyaml events. Anchors, nesting and unknown keys are refused with their line. The only file
 * that sees yaml.h. */
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "app/config_table.h"
#include "pagoda/fs.h"

enum { MAX_FILE_BYTES = 1 << 20 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    const char *path;
    pgd_error *err;
} reader;

static unsigned line_of(const reader *r) {
    return (unsigned)r->event.start_mark.line + 1;
}

static pgd_status next(reader *r) {
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event)) return PGD_OK;
    return pgd_fail(r->err, PGD_E_FORMAT, "%s:%u: %s", r->path,
                    (unsigned)r->parser.problem_mark.line + 1,
                    r->parser.problem != NULL ? r->parser.problem : "no valid YAML");
}

static pgd_sv scalar(const reader *r) {
    return (pgd_sv){(const char *)r->event.data.scalar.value, r->event.data.scalar.length};
}

static pgd_status expect(reader *r, yaml_event_type_t type, const char *what) {
    PGD_TRY(next(r));
    if (r->event.type == type) return PGD_OK;
    return pgd_fail(r->err, PGD_E_FORMAT, "%s:%u: expected %s", r->path, line_of(r), what);
}

static pgd_status read_value(reader *r, pgd_config *c, const pgd_config_row *row,
                             const char *where) {
    PGD_TRY(next(r));
    if (r->event.type == YAML_SCALAR_EVENT) return pgd_config_set(c, row, scalar(r), where, r->err);
    if (r->event.type != YAML_SEQUENCE_START_EVENT || row->type != PGD_CONFIG_LIST)
        return pgd_fail(r->err, PGD_E_FORMAT, "%s: expected %s", where,
                        row->type == PGD_CONFIG_LIST ? "a value or a list" : "a single value");
    for (;;) {
        PGD_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return PGD_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return pgd_fail(r->err, PGD_E_FORMAT, "%s: expected a list of plain values", where);
        PGD_TRY(pgd_config_set(c, row, scalar(r), where, r->err));
    }
}

static pgd_status read_mapping(reader *r, pgd_config *c) {
    for (;;) {
        PGD_TRY(next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return PGD_OK;
        if (r->event.type != YAML_SCALAR_EVENT)
            return pgd_fail(r->err, PGD_E_FORMAT, "%s:%u: expected a key", r->path, line_of(r));
        const pgd_sv key = scalar(r);
        const pgd_config_row *row = pgd_config_find(key.p, key.n);
        char where[512];
        (void)snprintf(where, sizeof(where), "%s:%u: %.*s", r->path, line_of(r),
                       (int)(key.n < 80 ? key.n : 80), key.p);
        if (row == NULL)
            return pgd_fail(r->err, PGD_E_INVALID, "%s: unknown key (docs/config.md lists them)",
                            where);
        PGD_TRY(read_value(r, c, row, where));
    }
}

static pgd_status read_document(reader *r, pgd_config *c) {
    PGD_TRY(expect(r, YAML_STREAM_START_EVENT, "a YAML stream"));
    PGD_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return PGD_OK; /* an empty file sets nothing */
    if (r->event.type != YAML_DOCUMENT_START_EVENT)
        return pgd_fail(r->err, PGD_E_FORMAT, "%s:%u: expected a document", r->path, line_of(r));
    PGD_TRY(expect(r, YAML_MAPPING_START_EVENT, "a mapping of keys to values"));
    PGD_TRY(read_mapping(r, c));
    PGD_TRY(expect(r, YAML_DOCUMENT_END_EVENT, "the end of the mapping"));
    return expect(r, YAML_STREAM_END_EVENT, "only one document");
}

pgd_status pgd_config_load_yaml(pgd_config *c, const char *path, pgd_error *err) {
    pgd_buf text = {0};
    pgd_status s = pgd_fs_read(path, MAX_FILE_BYTES, &text, err);
    if (s == PGD_OK) {
        reader r;
        memset(&r, 0, sizeof(r));
        r.path = path;
        r.err = err;
        if (!yaml_parser_initialize(&r.parser)) {
            s = pgd_fail(err, PGD_E_NOMEM, "%s: out of memory", path);
        } else {
            yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
            s = read_document(&r, c);
            yaml_event_delete(&r.event);
            yaml_parser_delete(&r.parser);
        }
    }
    pgd_buf_fini(&text);
    return s;
}

/* The private picture of structural_tag, shared by structural_*.c. */
#ifndef PAGODA_API_STRUCTURAL_H
#define PAGODA_API_STRUCTURAL_H

#include "demand.h"

typedef struct st_reader {
    pgd_arena *arena;
    api_error *e;
    pgd_json_space space;
    char path[API_PARAM_BYTES];
    size_t path_n, base_n; /* bytes of the path, of the field that all is about */
    uint32_t depth;
} st_reader;

typedef struct st_texts {
    pgd_sv *v;
    size_t n;
} st_texts;

/* What follows a format: one of the strings, or (none) whatever comes. */
typedef struct st_follow {
    st_texts end;
    bool open; /* the output may end here: free text needs no end string */
} st_follow;

/* Append to the path; the returned length is what api_st_leave goes back to. */
size_t api_st_enter(st_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void api_st_leave(st_reader *r, size_t was);
/* Name a part by its place, the path without the field, for the compiler's messages. */
pgd_status api_st_name(st_reader *r, pgd_grammar_spec *s);
/* Fail with an invalid value at the path. */
pgd_status api_st_fail(st_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A member that must be there and, unless `want` is NULL, of the type. The path is left at it. */
pgd_status api_st_enter_member(st_reader *r, const pgd_json *o, const char *key, pgd_json_type type,
                               const char *want, const pgd_json **out);
/* A list that must be there and not be empty. The path is left at it. */
pgd_status api_st_enter_list(st_reader *r, const pgd_json *o, const char *key,
                             const pgd_json **out);
pgd_status api_st_text(st_reader *r, const pgd_json *o, const char *key, pgd_sv *out);
/* false where there is none. */
pgd_status api_st_flag(st_reader *r, const pgd_json *o, const char *key, bool *out);
/* The strings of an array, each once; the path is at the array. */
pgd_status api_st_texts(st_reader *r, const pgd_json *list, bool may_be_empty, st_texts *out);
/* Those of `excludes`; none where there is none. */
pgd_status api_st_excludes(st_reader *r, const pgd_json *o, st_texts *out);
bool api_st_among(const st_texts *t, pgd_sv s);
bool api_st_is_type(const pgd_json *v, pgd_sv want);
/* Members that are not in the list (NULL-terminated) are refused, since they would change the
 * meaning, unless they have the value of their absence. */
pgd_status api_st_check_members(st_reader *r, const pgd_json *o, const char *const *known);

#endif

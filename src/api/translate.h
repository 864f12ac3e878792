/* What the translations of other protocols' bodies into chat bodies share: looking into the body,
 * and writing the members that all of them come to. Thread: a worker. */
#ifndef PAGODA_API_TRANSLATE_H
#define PAGODA_API_TRANSLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "errors.h"
#include "pagoda/json.h"
#include "pagoda/jsonw.h"
#include "pagoda/str.h"

/* NULL also where it is null: no protocol tells the two apart. */
const pgd_json *api_member(const pgd_json *obj, const char *key);
bool api_is_str(const pgd_json *v, const char *text);
/* Whether its member `type` is this text. */
bool api_has_type(const pgd_json *v, const char *type);
/* Errors: a body that is no object. */
pgd_status api_check_object(api_error *e, const pgd_json *body);

void api_key_str(pgd_jsonw *w, const char *key, pgd_sv s);
void api_key_bool(pgd_jsonw *w, const char *key, bool v);
void api_key_node(pgd_jsonw *w, const char *key, const pgd_json *v);
/* Members of obj, as they are; those that it lacks are left out. */
void api_put_members(pgd_jsonw *w, const pgd_json *obj, const char *const *keys, size_t n);
/* Those that every protocol names as chat does, and the extensions of chat. */
void api_put_same(pgd_jsonw *w, const pgd_json *body);

/* {"type":"function","function":{"name":…, open for more; the key before it is the caller's. */
void api_open_function(pgd_jsonw *w, pgd_sv name);
void api_close_function(pgd_jsonw *w);
/* Of response_format: {"type":"json_schema","json_schema":{, open for more. */
void api_open_schema(pgd_jsonw *w);
void api_close_schema(pgd_jsonw *w);

typedef enum api_thinking { API_THINK_UNSAID, API_THINK_ON, API_THINK_OFF } api_thinking;
/* chat_template_kwargs: thinking by the names that model families give it, then the client's own
 * (an object or NULL), which win. */
void api_put_kwargs(pgd_jsonw *w, api_thinking thinking, const pgd_json *own);

#endif

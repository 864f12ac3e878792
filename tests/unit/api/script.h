/* Calls with scripted tokens (a byte each) and no engine: what the API makes of an output is seen
 * alone. One API for a test program; set_up and tear_down are its group fixtures. */
#ifndef TESTS_API_SCRIPT_H
#define TESTS_API_SCRIPT_H

#include "api/call.h"
#include "support.h"

int script_set_up(void **state);
int script_tear_down(void **state);
pgd_api *script_api(void);
/* tests/golden/api/outputs.json: recorded forms of output of all families. */
const pgd_json *script_golden(void);
/* Which formats the model's output has. */
void script_speak(const char *tools, const char *think);
/* A call in phase RUN as prep leaves it, its requests never submitted. The test fails when the body
 * is refused. */
pgd_call *script_call(pgd_route route, const char *body);
/* Feed tokens in groups drawn from seed (0: one by one), then an end token; or, without `whole`,
 * the end by length. */
void script_feed(pgd_call *c, const int32_t *ids, size_t n, uint64_t seed, bool whole);
/* The bytes of the whole answer to the body when the model writes raw. */
void script_play(pgd_route route, const char *body, pgd_sv raw, uint64_t seed, pgd_buf *out);
/* The chat body that a body of the route is translated to must be cases[i][1]. */
void script_bodies(pgd_route route, const char *const (*cases)[2], size_t n);
/* The translation must be refused; *e: how. */
void script_refused(pgd_route route, const char *body, api_error *e);
/* Each event of an SSE text, whose name must be the type of its data. */
void script_events(pgd_sv bytes, void (*fn)(void *ctx, const pgd_json *e), void *ctx);
void script_put_node(pgd_buf *b, const pgd_json *v);
/* A string member, "" when it is not there. */
pgd_sv script_str(const pgd_json *v, const char *key);

#endif

/* Loops and connections. Private to src/http; only this module sees libuv. */
#ifndef PGD_HTTP_SERVER_H
#define PGD_HTTP_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "http/admin.h"
#include "http/parse.h"
#include "http/route.h"
#include "pagoda/http.h"

typedef struct pgd_http_loop pgd_http_loop;
typedef struct pgd_conn pgd_conn;

enum { PGD_HTTP_STATUS_CLASSES = 6 };

struct pgd_http_loop {
    pgd_http *http;
    uv_loop_t uv;
    uv_tcp_t listener;
    uv_pipe_t admin; /* listens too; loop 0 alone, if has_admin */
    uv_async_t wake;
    uv_timer_t tick;
    pgd_api_loop *api;
    pgd_conn *conns; /* doubly linked, newest first */
    pgd_buf scratch;
    char date[40]; /* of the current second, for the Date header */
    uint32_t n_ticks;
    bool quiesced, stopped, started, has_admin;
    uv_thread_t thread; /* loops 1.. */
    char read_buf[65536];
};

struct pgd_http {
    const pgd_http_options *opt;
    pgd_api *api;
    pgd_http_loop **loop;
    uint32_t n_loops;
    uint16_t port;
    _Atomic bool quiesce, stop;
    _Atomic uint32_t n_conns;
    pgd_admin_socket admin;
    bool checks_hosts; /* guard.h */
    pgd_metric *m_requests[PGD_ROUTE_N][PGD_HTTP_STATUS_CLASSES];
    pgd_metric *m_connections, *m_parse_errors;
};

typedef enum pgd_conn_state {
    PGD_CONN_IDLE,     /* between requests */
    PGD_CONN_HEAD,     /* the first bytes of a head are there */
    PGD_CONN_BODY,     /* reading a body */
    PGD_CONN_HANDLING, /* a call works on it, or its response is being sent */
    PGD_CONN_LINGER,   /* our side is shut down; reading until the client closes too */
    PGD_CONN_CLOSED    /* uv_close is under way */
} pgd_conn_state;

struct pgd_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    uv_write_t write_req;
    uv_shutdown_t shutdown_req;
    pgd_http_loop *loop;
    pgd_conn *prev, *next;
    pgd_conn_state state;
    uint64_t since_ns;   /* when the state began */
    uint64_t byte_ns;    /* last byte of a body; last progress of a response */
    size_t queued_bytes; /* write queue at the last look, to see progress */
    pgd_buf in;
    size_t head_from;
    /* the request under way */
    const pgd_route_row *row;
    pgd_http_framing framing;
    uint64_t body_left;
    pgd_chunked chunked;
    pgd_buf body;
    char request_id[129], origin[256], method[8];
    const pgd_api_key *key;
    pgd_buf arg, query;
    uint64_t timeout_ns;
    bool keep_alive, http10, is_head;
    bool admin; /* came through the operator's socket, */
    unsigned peer_uid;
    int peer_pid; /* from this user and process */
    /* its response */
    pgd_call *call;
    int status;
    bool had_call, head_sent, chunked_out, response_done;
    uint64_t sent_bytes;
    pgd_buf out, flight; /* being filled; handed to libuv */
    bool writing, reading;
};

/* conn.c: the life of a connection, all on its loop's thread. */
/* A connection waits at this listener of the loop. */
void pgd_conn_accept(pgd_http_loop *l, uv_stream_t *listener);
/* Take what the call has produced and send it. */
void pgd_conn_pump(pgd_conn *c);
/* Deadlines; full_second is true once a second. */
void pgd_conn_tick(pgd_conn *c, uint64_t now_ns, bool full_second);
/* Abort the call, if any, and close at once. */
void pgd_conn_close(pgd_conn *c);

/* reply.c: response bytes. */
/* Status line and headers for the call's response; content_length or chunked (-1). */
void pgd_reply_head(pgd_conn *c, int status, const char *content_type, pgd_sv extra,
                    int64_t content_length);
/* A complete refusal by the transport in c->out; the connection closes after it when `fatal`. */
void pgd_reply_refuse(pgd_conn *c, int status, const char *code, const char *message,
                      const char *extra_headers, bool fatal);
/* Answer to OPTIONS. */
void pgd_reply_options(pgd_conn *c, const char *allow);
/* A fixed page, or 304 when the client has it. */
void pgd_reply_page(pgd_conn *c, const pgd_http_page *page, const pgd_http_head *h);
/* Date header text of now. */
void pgd_reply_date(char out[40]);
bool pgd_cors_allows(const pgd_http_options *opt, pgd_sv origin);

#endif

/* The table of embedded pages: path, type, bytes and the headers that fence a page in.
 *
 * The policy lets a page load scripts, styles and pictures of this server alone, talk to this
 * server alone, run no inline script and no string as code, be framed by nobody, and send no form.
 * The `trusted types` part makes browsers refuse to parse any text as HTML, so what a model writes
 * can only ever be shown. The arrays come from embed.cmake. Immutable data, any thread. */
#include "pagoda/web.h"

#include "web_data.h"

#define HEADERS                                                                                    \
    "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "                    \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"         \
    "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"                          \
    "cross-origin-opener-policy: same-origin\r\ncross-origin-resource-policy: same-origin\r\n"

#define PAGE(where, type, name)                                                                    \
    {                                                                                              \
        .path = (where), .content_type = (type), .headers = HEADERS, .etag = "\"" name##_tag "\"", \
        .body = name##_plain, .n_body = sizeof(name##_plain), .gzip = name##_gzip,                 \
        .n_gzip = sizeof(name##_gzip), .gzip_etag = "\"" name##_tag "-gzip\""                      \
    }
#define HTML "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"

const pgd_http_page pgd_web_pages[] = {
    PAGE("/", HTML, playground_html),
    PAGE("/status", HTML, status_html),
    PAGE("/web/style.css", "text/css; charset=utf-8", style_css),
    PAGE("/web/playground.js", SCRIPT, playground_js),
    PAGE("/web/answer.js", SCRIPT, answer_js),
    PAGE("/web/client.js", SCRIPT, client_js),
    PAGE("/web/form.js", SCRIPT, form_js),
    PAGE("/web/status.js", SCRIPT, status_js),
    PAGE("/web/metrics.js", SCRIPT, metrics_js),
    PAGE("/web/dom.js", SCRIPT, dom_js),
    PAGE("/web/icon.svg", "image/svg+xml", icon_svg),
};
const uint32_t pgd_web_n_pages = sizeof(pgd_web_pages) / sizeof(pgd_web_pages[0]);

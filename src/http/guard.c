/* What protects a server on this machine from pages in its user's browser.
 *
 * Host names: a page of evil.example can have its name resolve to 127.0.0.1 after it was loaded.
 * The browser then takes our port for the page's own origin and shows it every answer; but the name
 * is still in Host. So a server on loopback answers only to what means loopback, and to names
 * that its user listed. Elsewhere anything may be a rightful name, and a check is made only if
 * names were listed; then every numeric address passes, since rebinding needs a name, and probes
 * of a cluster use addresses.
 *
 * Content types: browsers send a POST of a page to any server without asking it first, unless
 * the type is none of a form's. What such a POST does is done even if the page may not read the
 * answer. JSON is no form's type; so a POST that says it comes from a page must be JSON, and then
 * the browser has asked, and been told no unless the origin is listed. Clients that are no browsers
 * send neither header, and may say what they like: curl -d says it sends a form.
 *
 * Pure functions, on the loop thread. */
#include "http/guard.h"

#include <arpa/inet.h>
#include <string.h>

/* host[:port] without the port and without the brackets of an IPv6 address. NULL text: malformed.
 */
static pgd_sv name_of(pgd_sv host) {
    const pgd_sv bad = {NULL, 0};
    size_t n_colons = 0, last = 0;
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] == ':') {
            n_colons++;
            last = i;
        }
    size_t end = host.n, from = 0, port = host.n;
    if (host.n > 0 && host.p[0] == '[') {
        const size_t close = pgd_sv_find(host, PGD_SV("]"), 1);
        if (close >= host.n) return bad;
        from = 1;
        end = close;
        port = close + 1;
        if (port < host.n && host.p[port++] != ':') return bad;
    } else if (n_colons == 1) { /* more: an address that somebody wrote without its brackets */
        end = last;
        port = last + 1;
    }
    for (size_t i = port; i < host.n; i++)
        if (host.p[i] < '0' || host.p[i] > '9') return bad;
    return end > from ? (pgd_sv){host.p + from, end - from} : bad;
}

static bool same_name(pgd_sv a, pgd_sv b) {
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++) {
        const char x = a.p[i], y = b.p[i];
        const char lx = x >= 'A' && x <= 'Z' ? (char)(x + 32) : x;
        const char ly = y >= 'A' && y <= 'Z' ? (char)(y + 32) : y;
        if (lx != ly) return false;
    }
    return true;
}

typedef enum address_kind { NO_ADDRESS, ADDRESS, LOOPBACK } address_kind;

static address_kind kind_of(pgd_sv name) {
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (name.n >= sizeof(text)) return NO_ADDRESS;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    if (strlen(text) != name.n) return NO_ADDRESS;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127 ? LOOPBACK : ADDRESS;
    if (inet_pton(AF_INET6, text, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) ? LOOPBACK : ADDRESS;
    return NO_ADDRESS;
}

bool pgd_guard_checks_hosts(const pgd_http_options *opt) {
    return opt->n_allowed_hosts > 0 || pgd_http_host_is_loopback(opt->host);
}

bool pgd_guard_host(const pgd_http_options *opt, pgd_sv host) {
    for (uint32_t i = 0; i < opt->n_allowed_hosts; i++)
        if (strcmp(opt->allowed_hosts[i], "*") == 0) return true;
    const pgd_sv name = name_of(host);
    if (name.p == NULL) return false;
    const address_kind kind = kind_of(name);
    if (kind == LOOPBACK || same_name(name, PGD_SV("localhost"))) return true;
    if (kind == ADDRESS && !pgd_http_host_is_loopback(opt->host)) return true;
    for (uint32_t i = 0; i < opt->n_allowed_hosts; i++) {
        const pgd_sv allowed = name_of(pgd_sv_c(opt->allowed_hosts[i]));
        if (allowed.p != NULL && same_name(name, allowed)) return true;
    }
    return false;
}

void pgd_guard_quote(pgd_sv value, char *out, size_t cap) {
    size_t n = 0;
    for (; n < value.n && n + 1 < cap; n++)
        out[n] = value.p[n] >= 0x20 && value.p[n] < 0x7f ? value.p[n] : '?';
    out[n] = '\0';
}

bool pgd_guard_post(const pgd_http_head *h) {
    const pgd_sv origin = pgd_http_field_get(h, "origin");
    const pgd_sv site = pgd_http_field_get(h, "sec-fetch-site");
    const bool by_the_user = pgd_sv_eq(site, PGD_SV("same-origin")) ||
                             pgd_sv_eq(site, PGD_SV("none")); /* an address that was typed */
    if (origin.p == NULL && (site.p == NULL || by_the_user)) return true;
    pgd_sv type = pgd_http_field_get(h, "content-type");
    size_t n = 0;
    while (n < type.n && type.p[n] != ';')
        n++;
    while (n > 0 && (type.p[n - 1] == ' ' || type.p[n - 1] == '\t'))
        n--;
    return pgd_http_name_eq((pgd_sv){type.p, n}, "application/json");
}

/* Parsing of a server's URL.
 *
 * Everything that ends up in a request line or header is held to visible ASCII here, so that no URL
 * can smuggle a line into the request. TLS is not spoken: a client that took https and went on
 * without checking certificates would be worse than one that refuses. Thread: any. */
#include "cli/url.h"

#include <stdio.h>
#include <string.h>

static pgd_status bad(pgd_error *err, const char *text, const char *why) {
    return pgd_fail(err, PGD_E_INVALID, "--url: '%.200s': %s (want http://host:port)", text, why);
}

static bool copy(char *out, size_t out_bytes, pgd_sv s) {
    if (s.n >= out_bytes) return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static pgd_status take_authority(const char *text, pgd_sv s, cli_url *out, pgd_error *err) {
    pgd_sv host = s;
    pgd_sv port = PGD_SV("80");
    const bool v6 = s.n > 0 && s.p[0] == '[';
    const char *mark = v6 ? "]" : ":";
    size_t end = pgd_sv_find(s, (pgd_sv){mark, 1}, 0);
    if (v6) {
        if (end > s.n) return bad(err, text, "'[' without ']'");
        host = (pgd_sv){s.p + 1, end - 1};
        end++;
        if (end < s.n && s.p[end] != ':') return bad(err, text, "garbage behind ']'");
    } else if (end <= s.n) {
        host = (pgd_sv){s.p, end};
    }
    if (end < s.n) port = (pgd_sv){s.p + end + 1, s.n - end - 1};
    uint64_t number = 0;
    if (!pgd_parse_u64(port, &number) || number == 0 || number > 65535)
        return bad(err, text, "the port is no number in 1..65535");
    if (host.n == 0 || !copy(out->host, sizeof(out->host), host))
        return bad(err, text, host.n == 0 ? "no host" : "the host is too long");
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    (void)snprintf(out->authority, sizeof(out->authority), v6 ? "[%s]:%s" : "%s:%s", out->host,
                   out->port);
    return PGD_OK;
}

pgd_status cli_url_parse(const char *text, cli_url *out, pgd_error *err) {
    pgd_sv rest = pgd_sv_c(text);
    for (size_t i = 0; i < rest.n; i++) {
        const unsigned char c = (unsigned char)rest.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\')
            return bad(err, "", "blanks, control and non-ASCII characters are not allowed");
        if (c == '?' || c == '#' || c == '@')
            return bad(err, text, "a query, a fragment or a user name has no place here");
    }
    if (pgd_sv_starts(rest, PGD_SV("https://")))
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "--url: '%.200s': https is not spoken here; use http, or a TLS tunnel such "
                        "as stunnel on this machine and its http address",
                        text);
    const size_t scheme = pgd_sv_find(rest, PGD_SV("://"), 0);
    if (pgd_sv_starts(rest, PGD_SV("http://"))) {
        rest.p += 7;
        rest.n -= 7;
    } else if (scheme < rest.n) {
        return bad(err, text, "unknown scheme");
    }
    size_t slash = pgd_sv_find(rest, PGD_SV("/"), 0);
    if (slash > rest.n) slash = rest.n;
    PGD_TRY(take_authority(text, (pgd_sv){rest.p, slash}, out, err));
    pgd_sv path = {rest.p + slash, rest.n - slash};
    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n + sizeof("/v1") > sizeof(out->base)) return bad(err, text, "the path is too long");
    (void)snprintf(out->base, sizeof(out->base), "%.*s%s", (int)path.n, path.n > 0 ? path.p : "",
                   pgd_sv_ends(path, PGD_SV("/v1")) ? "" : "/v1");
    return PGD_OK;
}

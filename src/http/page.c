/* What a request asks of a fixed page: which one, in which coding, and whether the client has it.
 *
 * Pages are bytes of the binary that the application lists in the options; nothing is read from
 * disk, so no path of a request ever becomes a file name. Header values are lists of tokens with
 * optional weights; what cannot be read counts as absent, since the plain page is always a right
 * answer. Pure functions, on the loop thread. */
#include "http/page.h"

const pgd_http_page *pgd_page_find(const pgd_http_options *opt, const pgd_route_row *row,
                                   pgd_sv arg) {
    const pgd_sv path = pgd_sv_c(row->path);
    for (uint32_t i = 0; i < opt->n_pages; i++) {
        const pgd_sv page = pgd_sv_c(opt->pages[i].path);
        if (page.n == path.n + arg.n && pgd_sv_starts(page, path) &&
            pgd_sv_eq((pgd_sv){page.p + path.n, arg.n}, arg))
            return &opt->pages[i];
    }
    return NULL;
}

static pgd_sv trim(pgd_sv s) {
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Cut the part before the next `separator` off *rest; false at the end. */
static bool next_part(pgd_sv *rest, char separator, pgd_sv *part) {
    if (rest->p == NULL) return false;
    size_t n = 0;
    while (n < rest->n && rest->p[n] != separator)
        n++;
    *part = trim((pgd_sv){rest->p, n});
    *rest = n < rest->n ? (pgd_sv){rest->p + n + 1, rest->n - n - 1} : (pgd_sv){NULL, 0};
    return true;
}

/* Whether a list entry's parameters say q=0, 0.0, 0.00 or 0.000: "not this one". */
static bool has_zero_weight(pgd_sv parameters) {
    pgd_sv p;
    while (next_part(&parameters, ';', &p)) {
        if (p.n < 3 || (p.p[0] != 'q' && p.p[0] != 'Q') || p.p[1] != '=') continue;
        for (size_t i = 2; i < p.n; i++)
            if (p.p[i] != '0' && p.p[i] != '.') return false;
        return true;
    }
    return false;
}

/* Whether the list has the (lower-case) name with a weight above zero. *listed: it is there at all.
 */
static bool list_allows(pgd_sv list, const char *name, bool *listed) {
    pgd_sv entry, token;
    *listed = false;
    while (next_part(&list, ',', &entry)) {
        pgd_sv rest = entry;
        if (!next_part(&rest, ';', &token) || !pgd_http_name_eq(token, name)) continue;
        *listed = true;
        return !has_zero_weight(rest);
    }
    return false;
}

bool pgd_page_wanted(pgd_sv accept) {
    bool listed;
    if (trim(accept).n == 0) return true;
    return list_allows(accept, "text/html", &listed) || list_allows(accept, "text/*", &listed) ||
           list_allows(accept, "*/*", &listed);
}

bool pgd_page_takes_gzip(pgd_sv accept_encoding) {
    bool listed, any;
    const bool gzip = list_allows(accept_encoding, "gzip", &listed);
    return listed ? gzip : list_allows(accept_encoding, "*", &any);
}

bool pgd_page_unchanged(pgd_sv if_none_match, const char *etag) {
    pgd_sv tag;
    while (next_part(&if_none_match, ',', &tag)) {
        if (pgd_sv_starts(tag, PGD_SV("W/"))) tag = (pgd_sv){tag.p + 2, tag.n - 2};
        if (pgd_sv_eq(tag, pgd_sv_c(etag)) || pgd_sv_eq(tag, PGD_SV("*"))) return true;
    }
    return false;
}

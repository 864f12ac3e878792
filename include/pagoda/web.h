/* The playground at / and the status page at /status, as bytes of the binary: hand-written pages
 * and scripts that speak the public API alone, so they can do nothing that any client could not. */
#ifndef PAGODA_WEB_H
#define PAGODA_WEB_H

#include <stdint.h>

#include "pagoda/http.h"

/* All pages, for pgd_http_options.pages. Immutable. */
extern const pgd_http_page pgd_web_pages[];
extern const uint32_t pgd_web_n_pages;

#endif

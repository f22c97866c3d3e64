/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share; the door is http.h. */
#ifndef EDGE_PROXY_HTTP_INTERNAL_H
#define EDGE_PROXY_HTTP_INTERNAL_H

#include "edge-proxy/http/http.h"

/* The place of a parser in a section that is still growing. */
struct http_scan {
    uint32_t bytes; /* all before is legal and holds no end */
    uint32_t line;  /* start of the line that `bytes` lies in */
};

/* Reads a trailer section up to and with its empty line. HTTP_DONE: *used bytes were it. HTTP_MORE:
 * feed the same bytes again, with more. out may be NULL: checked only. */
enum http_verdict http_read_trailers(struct str in, struct http_scan *scan, struct fields *out,
                                     size_t *used);

/* For tests and benchmarks: parse with this enum scan_level or the next lower one that the machine
 * has. At start the best is in use. Not while another thread parses. */
void http_use_level(unsigned level);

#endif

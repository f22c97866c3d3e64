/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exporter: GET /metrics for Prometheus, on an address of its own (never on one where visitors
 * come). A responder of one page: it reads a request head of at most EXPORTER_HEAD_BYTES, answers
 * and closes; at most EXPORTER_CLIENTS at a time, each for at most EXPORTER_DEADLINE_MS.
 * Lives on the loop of its event base.
 */
#ifndef COMMON_EXPORTER_H
#define COMMON_EXPORTER_H

#include "common/addr/addr.h"
#include "common/error/error.h"
#include "common/text/text.h"

#include <event2/event.h>

enum { EXPORTER_HEAD_BYTES = 4096, EXPORTER_CLIENTS = 16, EXPORTER_DEADLINE_MS = 5000 };

struct exporter;

struct exporter_options {
    struct event_base *base;
    struct addr address;
    struct place place;
    void (*write)(void *arg, struct text *out); /* the page, as Prometheus text */
    void *arg;
};

/* Listens; NULL: errors say why. */
struct exporter *exporter_new(const struct exporter_options *options, struct errors *errors);
/* Where it listens (the kernel's port for port 0). */
struct addr exporter_address(const struct exporter *e);
void exporter_free(struct exporter *e);

#endif

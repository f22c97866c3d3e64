/* SPDX-License-Identifier: BSD-2-Clause */
/* node: the running program: what is loaded, published and reloaded. Main thread, which is the
 * control thread. Private to main. */
#ifndef GSLB_DNS_NODE_H
#define GSLB_DNS_NODE_H

#include "common/error/error.h"

struct node;

/* Loads, listens and serves; NULL: errors say why not. */
struct node *node_start(const char *path, struct errors *errors);
/* Until SIGINT or SIGTERM. */
void node_run(struct node *n);
/* Answers what has been received, closes everything. */
void node_stop(struct node *n);

/* --check: all that a start would refuse, but for taken ports. */
MUST_USE struct outcome node_check(const char *path, struct errors *errors);

#endif

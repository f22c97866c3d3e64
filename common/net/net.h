/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net: sockets, opened the way servers want them: non-blocking, close-on-exec, SO_REUSEPORT.
 * What goes wrong is said with the address and what the operator can do about it.
 */
#ifndef COMMON_NET_H
#define COMMON_NET_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/error/error.h"

/* A TCP listener (IPv6 ones are V6ONLY), TCP_NODELAY inherited by its connections. On failure -1,
 * with the reason in errors at that place ("port 53 needs CAP_NET_BIND_SERVICE", "in use by …"). */
int net_listen_tcp(const struct addr *at, int backlog, struct errors *errors, struct place place);
/* A UDP socket that never fragments by path-MTU discovery (RFC 9715) and, when want_pktinfo, tells
 * the destination address of each packet (for wildcard binds, RFC 2181 section 4.1). */
int net_bind_udp(const struct addr *at, bool want_pktinfo, struct errors *errors,
                 struct place place);
/* A stream listener on a path of the file system, mode 0660; replaces a dead socket, refuses a
 * live one. */
int net_listen_unix(const char *path, struct errors *errors, struct place place);
/* SO_REUSEPORT lets two instances of one user share a port in silence: before the first listener
 * opens, this asks whether anybody else has it. type: SOCK_STREAM or SOCK_DGRAM. */
MUST_USE struct outcome net_check_free(const struct addr *at, int type, struct errors *errors,
                                       struct place place);
/* A listening socket that the process before this one had: the next call that listens on its
 * address or path gets it. Before any other call here; main thread. Takes over fd. */
void net_inherit(int fd);
/* One more such socket of that address, or -1: the process before had several, one per thread. */
int net_take_inherited(const struct addr *at);
/* Closes those that nobody has asked for; how many there were. */
size_t net_drop_inherited(void);
/* A connection that may still be under way; -1 and errno when it cannot even start. */
int net_connect_tcp(const struct addr *to);
int net_connect_unix(const char *path);
/* The kernel's choice of port. */
MUST_USE struct outcome net_local_addr(int fd, struct addr *out);
MUST_USE struct outcome net_peer_addr(int fd, struct addr *out);
/* The pending error of a socket (SO_ERROR), 0: none. */
int net_take_error(int fd);
/* How many CPUs this process may use, at least 1. */
unsigned net_cpu_count(void);

#endif

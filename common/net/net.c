/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/net/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void set_option(int fd, int level, int name, int value)
{
    /* An option that the kernel lacks costs speed or a nicety, never the service. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void explain(const struct addr *at, const char *protocol, int why, struct errors *errors,
                    struct place place)
{
    char text[ADDR_TEXT];
    const char *hint = "";

    addr_format(at, text);
    if (why == EADDRINUSE)
        hint = ": another program has it; stop that one (ss -lnptu shows it) or choose another "
               "address or port";
    else if (why == EACCES)
        hint = ": ports below 1024 need root or CAP_NET_BIND_SERVICE";
    else if (why == EADDRNOTAVAIL)
        hint = ": this machine has no such address";
    errors_add(errors, place, "cannot listen on %s %s: %s%s", protocol, text, strerror(why), hint);
}

static int open_bound(const struct addr *at, int type, struct errors *errors, struct place place)
{
    int fd = socket(at->sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        if (type == SOCK_STREAM)
            set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (at->sa.sa_family == AF_INET6)
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (bind(fd, &at->sa, at->length) == 0)
            return fd;
    }
    explain(at, type == SOCK_STREAM ? "TCP" : "UDP", errno, errors, place);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- From the process before ---- */

static int *inherited;
static size_t n_inherited;

void net_inherit(int fd)
{
    inherited = base_realloc(inherited, (n_inherited + 1) * sizeof(inherited[0]));
    inherited[n_inherited++] = fd;
}

static int take_inherited(size_t i)
{
    int fd = inherited[i];

    inherited[i] = inherited[--n_inherited];
    return fd;
}

static size_t find_inherited(const struct sockaddr *at, socklen_t length)
{
    for (size_t i = 0; i < n_inherited; i++) {
        struct sockaddr_storage own;
        socklen_t n = sizeof(own);

        memset(&own, 0, sizeof(own));
        if (getsockname(inherited[i], (struct sockaddr *)&own, &n) == 0 && n <= length &&
            memcmp(&own, at, n) == 0)
            return i;
    }
    return SIZE_MAX;
}

int net_take_inherited(const struct addr *at)
{
    size_t i = find_inherited(&at->sa, at->length);

    return i != SIZE_MAX ? take_inherited(i) : -1;
}

size_t net_drop_inherited(void)
{
    size_t n = n_inherited;

    while (n_inherited > 0)
        close(take_inherited(0));
    free(inherited);
    inherited = NULL;
    return n;
}

/* ---- Listening ---- */

int net_listen_tcp(const struct addr *at, int backlog, struct errors *errors, struct place place)
{
    int fd = net_take_inherited(at);

    if (fd < 0)
        fd = open_bound(at, SOCK_STREAM, errors, place);
    if (fd < 0)
        return -1;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (listen(fd, backlog) == 0)
        return fd;
    explain(at, "TCP", errno, errors, place);
    close(fd);
    return -1;
}

int net_bind_udp(const struct addr *at, bool want_pktinfo, struct errors *errors,
                 struct place place)
{
    int fd = open_bound(at, SOCK_DGRAM, errors, place);

    if (fd < 0)
        return -1;
    if (at->sa.sa_family == AF_INET) {
        set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
        if (want_pktinfo)
            set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
        if (want_pktinfo)
            set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    set_option(fd, SOL_SOCKET, SO_RCVBUF, 4 << 20);
    set_option(fd, SOL_SOCKET, SO_SNDBUF, 1 << 20);
    return fd;
}

struct outcome net_check_free(const struct addr *at, int type, struct errors *errors,
                              struct place place)
{
    struct outcome outcome = OUTCOME_OK;
    int fd;

    if (type == SOCK_STREAM && find_inherited(&at->sa, at->length) != SIZE_MAX)
        return OUTCOME_OK; /* the process before has it, and is going */
    fd = socket(at->sa.sa_family, type | SOCK_CLOEXEC, 0);
    if (fd >= 0 && at->sa.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (fd >= 0 && type == SOCK_STREAM)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (fd < 0 || bind(fd, &at->sa, at->length) != 0) {
        explain(at, type == SOCK_STREAM ? "TCP" : "UDP", errno, errors, place);
        outcome = OUTCOME_FAILED;
    }
    if (fd >= 0)
        close(fd);
    return outcome;
}

static bool unix_addr(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(out->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(out->sun_path, path, strlen(path));
    return true;
}

int net_connect_unix(const char *path)
{
    struct sockaddr_un un;
    int fd;

    if (!unix_addr(path, &un))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

int net_listen_unix(const char *path, struct errors *errors, struct place place)
{
    struct sockaddr_un un;
    struct stat st;
    int fd = -1, live;
    mode_t old_mask;
    size_t i;

    if (unix_addr(path, &un) &&
        (i = find_inherited((struct sockaddr *)&un, sizeof(un))) != SIZE_MAX)
        return take_inherited(i);
    if (unix_addr(path, &un))
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        errors_add(errors, place, "cannot use the socket path '%s': %s", path, strerror(errno));
        return -1;
    }
    live = net_connect_unix(path);
    if (live >= 0) {
        errors_add(errors, place,
                   "cannot listen on %s: a running program answers there; stop it first, or give "
                   "this one another path",
                   path);
        close(live);
        close(fd);
        return -1;
    }
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    old_mask = umask(0117);
    if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, 64) != 0) {
        errors_add(errors, place, "cannot listen on %s: %s%s", path, strerror(errno),
                   errno == ENOENT ? ": its folder does not exist" : "");
        close(fd);
        fd = -1;
    }
    umask(old_mask);
    return fd;
}

int net_connect_tcp(const struct addr *to)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (connect(fd, &to->sa, to->length) != 0 && errno != EINPROGRESS) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

struct outcome net_local_addr(int fd, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    out->length = sizeof(out->storage);
    return getsockname(fd, &out->sa, &out->length) == 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

struct outcome net_peer_addr(int fd, struct addr *out)
{
    memset(out, 0, sizeof(*out));
    out->length = sizeof(out->storage);
    return getpeername(fd, &out->sa, &out->length) == 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

int net_take_error(int fd)
{
    int value = 0;
    socklen_t n = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n) == 0 ? value : errno;
}

unsigned net_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 0 ? (unsigned)n : 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/daemon/daemon.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void daemon_hold_reloads(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    ensure(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

int daemon_open_signals(int also)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    if (also != 0)
        sigaddset(&set, also);
    ensure(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    ensure(fd >= 0);
    return fd;
}

int daemon_take_signal(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t length;
    int fd;

    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof(un.sun_path))
        return;
    memcpy(un.sun_path, path, strlen(path));
    if (path[0] == '@') /* an abstract name */
        un.sun_path[0] = '\0';
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&un, length);
    close(fd);
}

struct outcome daemon_raise_file_limit(uint64_t least, uint64_t *limit, struct errors *errors)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        files.rlim_max = 1024;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    *limit = files.rlim_cur;
    if (*limit >= least)
        return OUTCOME_OK;
    errors_add(errors, (struct place){0},
               "the limit of open files is %" PRIu64 ", at least %" PRIu64
               " are needed: raise it (LimitNOFILE=, ulimit -n)",
               *limit, least);
    return OUTCOME_FAILED;
}

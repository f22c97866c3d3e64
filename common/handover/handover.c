/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/handover/handover.h"

#include "common/log/log.h"
#include "common/net/net.h"
#include "common/text/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* "READY-FD FD FD …", from the old process to the new one. */
#define VARIABLE "GSLB_HANDOVER"

enum { SOCKETS_MAX = 4096, PATH_BYTES = 4096 };

static char
    program_path[PATH_BYTES]; /* where it was started from: after an update, a new program */
static char **program_argv;
static int ready_fd = -1; /* of the new process; -1: there was none before it */

extern char **environ;

static bool is_listening(int fd)
{
    int is = 0;
    socklen_t length = sizeof(is);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &length) == 0 && is != 0;
}

static void set_close_on_exec(int fd)
{
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* ---- The new process ---- */

static void take(int fd)
{
    set_close_on_exec(fd);
    if (is_listening(fd))
        net_inherit(fd);
}

void handover_receive(char **argv)
{
    ssize_t n = readlink("/proc/self/exe", program_path, sizeof(program_path) - 1);
    const char *text = getenv(VARIABLE);
    char *end;

    program_path[n > 0 ? n : 0] = '\0';
    program_argv = argv;
    if (text == NULL)
        return;
    ready_fd = (int)strtol(text, &end, 10);
    set_close_on_exec(ready_fd);
    while (*end == ' ')
        take((int)strtol(end + 1, &end, 10));
    unsetenv(VARIABLE);
}

void handover_finish(void)
{
    size_t n = net_drop_inherited();

    if (n > 0)
        log_info("handover", "closed sockets that nothing here listens on any more sockets=%zu", n);
    if (ready_fd < 0)
        return;
    if (write(ready_fd, "R", 1) != 1)
        log_warn("handover", "the process before does not listen; is it gone?");
    close(ready_fd);
    ready_fd = -1;
}

/* ---- The old process ---- */

/* Whatever this process listens on, whoever opened it. */
static size_t list_sockets(int fds[SOCKETS_MAX])
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *entry;
    size_t n = 0;

    while (d != NULL && n < SOCKETS_MAX && (entry = readdir(d)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (entry->d_name[0] != '.' && fd != dirfd(d) && is_listening(fd))
            fds[n++] = fd;
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static char **make_environment(const char *handed)
{
    size_t n = 0;
    char **out;

    while (environ[n] != NULL)
        n++;
    out = base_zalloc(n + 2, sizeof(char *));
    memcpy(out, environ, n * sizeof(char *));
    out[n] = (char *)handed;
    return out;
}

/* Signals as a program finds them that was started by hand. */
static void reset_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(struct handover *out, int ready, const int *fds, size_t n)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    struct text handed = {0};
    char **environment;
    int why;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    reset_signals(&attributes);
    text_addf(&handed, VARIABLE "=%d", ready);
    posix_spawn_file_actions_adddup2(&actions, ready, ready); /* stays open over the exec */
    for (size_t i = 0; i < n; i++) {
        text_addf(&handed, " %d", fds[i]);
        posix_spawn_file_actions_adddup2(&actions, fds[i], fds[i]);
    }
    environment = make_environment(handed.p);
    why = posix_spawn(&out->pid, program_path, &actions, &attributes, program_argv, environment);
    free(environment);
    text_free(&handed);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return why;
}

struct outcome handover_start(struct handover *out)
{
    int fds[SOCKETS_MAX], ends[2], why;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return OUTCOME_FAILED;
    why = spawn(out, ends[1], fds, list_sockets(fds));
    close(ends[1]);
    if (why == 0) {
        out->fd = ends[0];
        return OUTCOME_OK;
    }
    close(ends[0]);
    errno = why;
    return OUTCOME_FAILED;
}

enum handover_state handover_look(struct handover *h)
{
    char byte;
    ssize_t n = read(h->fd, &byte, 1);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return HANDOVER_WAIT;
    close(h->fd);
    h->fd = -1;
    if (n == 1)
        return HANDOVER_DONE;
    while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return HANDOVER_FAILED;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct letter {
    struct letter *next;
    void (*run)(void *arg);
    void *arg;
};

struct loop {
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    pthread_t thread;
    bool has_thread;
    char name[16];
    pthread_mutex_t lock; /* of the mailbox */
    struct letter *first, **last;
};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    struct letter *letters;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&l->lock);
    letters = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    for (struct letter *x = letters, *next; x != NULL; x = next) {
        next = x->next;
        x->run(x->arg);
        free(x);
    }
}

struct loop *loop_new(const char *name)
{
    struct loop *l = base_zalloc(1, sizeof(*l));
    struct event_config *config = event_config_new();

    ensure(config != NULL);
    /* One thread per base; other threads come in by the mailbox only. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    ensure(l->base != NULL);
    strncpy(l->name, name, sizeof(l->name) - 1);
    pthread_mutex_init(&l->lock, NULL);
    l->last = &l->first;
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ensure(l->wake_fd >= 0);
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    ensure(l->wake != NULL && event_add(l->wake, NULL) == 0);
    return l;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_run(struct loop *l)
{
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void *thread_main(void *arg)
{
    struct loop *l = arg;

    loop_run(l);
    return NULL;
}

void loop_start(struct loop *l)
{
    ensure(pthread_create(&l->thread, NULL, thread_main, l) == 0);
    pthread_setname_np(l->thread, l->name);
    l->has_thread = true;
}

void loop_post(struct loop *l, void (*run)(void *arg), void *arg)
{
    struct letter *x = base_alloc(sizeof(*x));
    uint64_t one = 1;

    *x = (struct letter){.run = run, .arg = arg};
    pthread_mutex_lock(&l->lock);
    *l->last = x;
    l->last = &x->next;
    pthread_mutex_unlock(&l->lock);
    ensure(write(l->wake_fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
}

static void break_loop(void *arg)
{
    struct loop *l = arg;

    event_base_loopbreak(l->base);
}

void loop_stop(struct loop *l)
{
    loop_post(l, break_loop, l);
}

void loop_join(struct loop *l)
{
    if (l->has_thread)
        pthread_join(l->thread, NULL);
    l->has_thread = false;
}

void loop_free(struct loop *l)
{
    for (struct letter *x = l->first, *next; x != NULL; x = next) {
        next = x->next;
        free(x);
    }
    event_free(l->wake);
    close(l->wake_fd);
    event_base_free(l->base);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

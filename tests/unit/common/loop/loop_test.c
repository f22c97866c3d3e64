/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LETTERS = 20000, SENDERS = 3 };

struct inbox {
    struct loop *loop;
    size_t n;
    size_t next[SENDERS]; /* the letter that is due from each */
    bool is_disordered;
    pthread_t thread;
};

struct letter {
    struct inbox *inbox;
    size_t sender, number;
};

static struct letter letters[SENDERS][LETTERS];

static void receive(void *arg)
{
    struct letter *l = arg;

    if (l->inbox->next[l->sender]++ != l->number)
        l->inbox->is_disordered = true;
    l->inbox->n++;
    l->inbox->thread = pthread_self();
}

struct sender {
    struct inbox *inbox;
    size_t number;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;

    for (size_t i = 0; i < LETTERS; i++) {
        letters[s->number][i] = (struct letter){s->inbox, s->number, i};
        loop_post(s->inbox->loop, receive, &letters[s->number][i]);
    }
    return NULL;
}

static void letters_come_in_order_from_any_thread(void **state)
{
    struct inbox inbox = {.loop = loop_new("test")};
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];

    (void)state;
    loop_start(inbox.loop);
    for (size_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&inbox, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    loop_stop(inbox.loop); /* what was posted before is done first */
    loop_join(inbox.loop);
    assert_int_equal(inbox.n, SENDERS * LETTERS);
    assert_false(inbox.is_disordered);
    assert_false(pthread_equal(inbox.thread, pthread_self()));
    loop_free(inbox.loop);
}

static void post_again(void *arg)
{
    struct inbox *inbox = arg;

    if (++inbox->n < 10)
        loop_post(inbox->loop, post_again, inbox);
    else
        loop_stop(inbox->loop);
}

static void a_letter_may_post_and_stop(void **state)
{
    struct inbox inbox = {.loop = loop_new("test")};

    (void)state;
    loop_post(inbox.loop, post_again, &inbox);
    loop_run(inbox.loop); /* on this thread */
    assert_int_equal(inbox.n, 10);
    loop_free(inbox.loop);
}

static void unread_letters_are_dropped(void **state)
{
    struct inbox inbox = {.loop = loop_new("a name that is too long")};

    (void)state;
    loop_post(inbox.loop, post_again, &inbox);
    loop_free(inbox.loop);
    assert_int_equal(inbox.n, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    loop_stop(arg);
}

static void events_run_on_the_base(void **state)
{
    struct loop *l = loop_new("test");
    struct event *timer = event_new(loop_base(l), -1, 0, on_timer, l);
    struct timeval soon = {0, 1000};

    (void)state;
    event_add(timer, &soon);
    loop_run(l); /* comes back because the timer stops it */
    event_free(timer);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_come_in_order_from_any_thread),
        cmocka_unit_test(a_letter_may_post_and_stop),
        cmocka_unit_test(unread_letters_are_dropped),
        cmocka_unit_test(events_run_on_the_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch: the status, drawn over itself once a second. Home, each line with "clear to its end",
 * then "clear below": no flicker, and the last picture stays in the terminal's history.
 */
#include "common/clock/clock.h"
#include "gslb-dns/gslbctl/gslbctl.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { EVERY_MS = 1000, ANSWER_MS = 3000 };

struct watch {
    struct asker *asker;
    struct view *view;
    bool is_json, is_over;
    struct text picture; /* the newest good one */
    int64_t pictured_ms;
    enum gslbctl_exit news;
};

static void measure(struct view *view)
{
    struct winsize size;

    if (!view->is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return;
    view->columns = size.ws_col;
    view->rows = size.ws_row;
}

static void write_out(const struct text *t)
{
    fwrite(t->p, 1, t->n, stdout);
    fflush(stdout);
}

/* As many lines as the terminal has, each cleared to its end. */
static void add_lines(const struct watch *w, struct text *out)
{
    const char *p = w->picture.p, *end = p + w->picture.n;
    unsigned rows = w->view->rows, room = rows == 0 ? UINT_MAX : rows > 2 ? rows - 2 : 1;

    for (; p < end && room > 0; room--) {
        const char *line = memchr(p, '\n', (size_t)(end - p));

        if (line == NULL)
            line = end;
        text_add(out, p, (size_t)(line - p));
        text_adds(out, "\033[K\n");
        p = line < end ? line + 1 : end;
    }
}

static void draw(const struct watch *w, const char *trouble)
{
    struct text out = {0};
    char age[TEXT_SHORT];

    text_adds(&out, "\033[H");
    if (trouble != NULL) {
        table_paint(w->view, TABLE_RED, trouble, &out);
        if (w->pictured_ms != 0)
            text_addf(&out, " (below: %s ago)",
                      table_age((uint64_t)(clock_mono_ms() - w->pictured_ms), age));
        text_adds(&out, "\033[K\n");
    }
    if (w->picture.n > 0)
        add_lines(w, &out);
    text_adds(&out, "\033[J");
    write_out(&out);
    text_free(&out);
}

static void take_picture(struct watch *w, const Gslb__Reply *reply)
{
    text_free(&w->picture);
    if (reply->body_case == GSLB__REPLY__BODY_STATUS) {
        if (w->is_json)
            json_of_status(reply->status, &w->picture);
        else
            w->news = status_show(reply->status, w->view, &w->picture);
    } else if (reply->body_case == GSLB__REPLY__BODY_EDGE_STATUS) {
        if (w->is_json)
            json_of_edge(reply->edge_status, &w->picture);
        else
            w->news = status_show_edge(reply->edge_status, w->view, &w->picture);
    }
    w->pictured_ms = clock_mono_ms();
}

static void look(struct watch *w)
{
    Gslb__StatusRequest status = GSLB__STATUS_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    struct text error = {0};
    struct arena arena = {0};
    const Gslb__Reply *reply;

    request.action_case = GSLB__REQUEST__ACTION_STATUS;
    request.status = &status;
    measure(w->view);
    reply = asker_ask(w->asker, &request, ANSWER_MS, &arena, &error);
    if (w->is_over)
        ;
    else if (reply != NULL && (w->is_json || !w->view->is_terminal)) {
        take_picture(w, reply);
        if (!w->is_json)
            text_adds(&w->picture, "\n");
        write_out(&w->picture);
    } else if (reply != NULL) {
        take_picture(w, reply);
        draw(w, NULL);
    } else if (w->view->is_terminal && !w->is_json) {
        draw(w, error.p);
    } else {
        fprintf(stderr, "gslbctl: %s\n", error.p);
    }
    text_free(&error);
    arena_free(&arena);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    w->is_over = true;
    asker_interrupt(w->asker);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    event_base_loopbreak(asker_base(w->asker));
}

static void wait_a_second(struct watch *w, struct event *wake)
{
    struct timeval after = {.tv_sec = EVERY_MS / 1000, .tv_usec = EVERY_MS % 1000 * 1000};

    if (w->is_over)
        return;
    event_add(wake, &after);
    event_base_dispatch(asker_base(w->asker));
    event_del(wake);
}

enum gslbctl_exit watch_status(struct asker *a, struct view *view, bool is_json)
{
    struct watch w = {.asker = a, .view = view, .is_json = is_json};
    struct event_base *base = asker_base(a);
    struct event *wake = evtimer_new(base, on_wake, &w);
    struct event *stop = evsignal_new(base, SIGINT, on_end, &w);
    struct event *term = evsignal_new(base, SIGTERM, on_end, &w);
    /* A question that is under way is not disturbed by a resize: it draws a moment later. */
    struct event *resize = evsignal_new(base, SIGWINCH, on_wake, &w);
    bool is_drawing = view->is_terminal && !is_json;

    ensure(wake != NULL && stop != NULL && term != NULL && resize != NULL);
    event_add(stop, NULL);
    event_add(term, NULL);
    if (is_drawing)
        fputs("\033[?25l\033[H\033[J", stdout);
    while (!w.is_over) {
        look(&w);
        event_add(resize, NULL);
        wait_a_second(&w, wake);
        event_del(resize);
    }
    if (is_drawing)
        fputs("\033[?25h", stdout);
    event_free(wake);
    event_free(stop);
    event_free(term);
    event_free(resize);
    text_free(&w.picture);
    return w.news;
}

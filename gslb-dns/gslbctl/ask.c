/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/addr/addr.h"
#include "common/net/net.h"
#include "gslb-dns/gslbctl/gslbctl.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

enum { HANDSHAKE_MS = 5000 };

struct asker {
    struct target target;
    struct event_base *base;
    SSL_CTX *tls; /* made with the first remote question */
    struct frame_link *link;
    struct event *deadline;
    bool is_open, is_interrupted;
    /* The question that is waiting. */
    const Gslb__Request *request;
    const Gslb__Reply *reply;
    struct arena *arena;
    struct text *error;
};

const char *asker_name(const struct asker *a)
{
    return a->target.server != NULL ? a->target.server : a->target.socket_path;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    event_base_loopbreak(((struct asker *)arg)->base);
}

struct asker *asker_new(const struct target *target)
{
    struct asker *a = base_zalloc(1, sizeof(*a));

    a->target = *target;
    a->base = event_base_new();
    ensure(a->base != NULL);
    a->deadline = evtimer_new(a->base, on_deadline, a);
    ensure(a->deadline != NULL);
    return a;
}

void asker_free(struct asker *a)
{
    if (a->link != NULL)
        frame_link_close(a->link, FRAME_CLOSE_STOPPED, NULL);
    SSL_CTX_free(a->tls);
    event_free(a->deadline);
    event_base_free(a->base);
    free(a);
}

struct event_base *asker_base(struct asker *a)
{
    return a->base;
}

void asker_interrupt(struct asker *a)
{
    a->is_interrupted = true;
    event_base_loopbreak(a->base);
}

static void send_request(struct asker *a)
{
    Gslb__Frame frame = GSLB__FRAME__INIT;

    frame.body_case = GSLB__FRAME__BODY_REQUEST;
    frame.request = (Gslb__Request *)a->request;
    frame_link_send(a->link, &frame);
}

static void on_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
    struct asker *a = arg;

    if (a->target.server != NULL && peer->role != TLS_ROLE_DNS && peer->role != TLS_ROLE_EDGE) {
        frame_link_close(link, FRAME_CLOSE_WRONG_ROLE, NULL);
        return;
    }
    a->is_open = true;
    if (a->request != NULL)
        send_request(a);
}

static void on_frame(void *arg, struct frame_link *link, const Gslb__Frame *frame)
{
    struct asker *a = arg;

    if (frame->body_case != GSLB__FRAME__BODY_REPLY || a->request == NULL) {
        frame_link_close(link, FRAME_CLOSE_UNEXPECTED, NULL);
        return;
    }
    frame_link_keep(link, a->arena);
    a->reply = frame->reply;
    a->request = NULL;
    event_base_loopbreak(a->base);
}

static void on_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct asker *a = arg;
    bool was_open = a->is_open;

    a->link = NULL;
    a->is_open = false;
    if (a->request == NULL)
        return;
    text_addf(a->error, was_open ? "%s closed the connection: %s" : "no connection to %s: %s",
              asker_name(a), detail);
    if (why == FRAME_CLOSE_HANDSHAKE || why == FRAME_CLOSE_PEER)
        text_adds(a->error, a->target.server != NULL
                                ? "; an operator certificate of the node's CA is needed "
                                  "(--certificate, --key, --ca)"
                                : "");
    a->request = NULL;
    event_base_loopbreak(a->base);
}

static int connect_socket(struct asker *a)
{
    const char *path = a->target.socket_path;
    int fd = net_connect_unix(path);

    if (fd >= 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    if (errno == EACCES || errno == EPERM)
        text_addf(a->error, "you may not open %s: be root, or a member of the group that owns it",
                  path);
    else
        text_addf(a->error,
                  "nothing answers on %s (%s): is gslb-dns running? Another socket is named by -s "
                  "or GSLBCTL_SOCKET, a node elsewhere by -S HOST:PORT",
                  path, strerror(errno));
    return -1;
}

/* "HOST:PORT" with a name in place of an address. */
static bool resolve(struct asker *a, struct addr *out)
{
    const char *colon = strrchr(a->target.server, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char *host;
    int why;

    if (addr_parse(str_of(a->target.server), 0, out))
        return true;
    if (colon == NULL || colon == a->target.server || colon[1] == '\0') {
        text_addf(a->error,
                  "'%s' is not HOST:PORT, as in ns1.example.net:8053 or [2001:db8::1]:8053",
                  a->target.server);
        return false;
    }
    host = base_strndup(a->target.server, (size_t)(colon - a->target.server));
    why = getaddrinfo(host, colon + 1, &hints, &found);
    free(host);
    if (why != 0) {
        text_addf(a->error, "cannot find the address of %s: %s", a->target.server,
                  gai_strerror(why));
        return false;
    }
    *out = (struct addr){.length = found->ai_addrlen};
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static bool make_tls(struct asker *a)
{
    struct tls_files files = {.certificate_path = a->target.certificate_path,
                              .key_path = a->target.key_path,
                              .ca_path = a->target.ca_path};
    struct errors errors = {0};
    struct tls_identity own;
    char *words;

    if (a->tls != NULL)
        return true;
    a->tls = tls_channel_new(TLS_CLIENT, &files, &own, &errors);
    if (a->tls == NULL) {
        words = errors_to_string(&errors);
        text_addf(a->error, "%s", words);
        free(words);
        while (a->error->n > 0 && a->error->p[a->error->n - 1] == '\n')
            a->error->p[--a->error->n] = '\0';
    }
    errors_free(&errors);
    return a->tls != NULL;
}

static int connect_server(struct asker *a)
{
    struct addr to;
    int fd;

    if (!make_tls(a) || !resolve(a, &to))
        return -1;
    fd = net_connect_tcp(&to);
    if (fd < 0)
        text_addf(a->error, "cannot connect to %s: %s", a->target.server, strerror(errno));
    return fd;
}

static bool connect_link(struct asker *a)
{
    static const struct frame_hooks hooks = {on_open, on_frame, on_close};
    struct frame_options options = {.base = a->base,
                                    .side = TLS_CLIENT,
                                    .handshake_ms = HANDSHAKE_MS,
                                    .hooks = &hooks,
                                    .arg = a};
    int fd = a->target.server != NULL ? connect_server(a) : connect_socket(a);

    if (fd < 0)
        return false;
    options.tls = a->tls;
    a->link = frame_link_new(&options, fd);
    return true;
}

const Gslb__Reply *asker_ask(struct asker *a, const Gslb__Request *request, uint32_t timeout_ms,
                             struct arena *arena, struct text *error)
{
    struct timeval after = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

    a->reply = NULL;
    a->arena = arena;
    a->error = error;
    if (a->link == NULL && !connect_link(a))
        return NULL;
    a->request = request;
    if (a->is_open)
        send_request(a);
    a->is_interrupted = false;
    event_add(a->deadline, &after);
    event_base_dispatch(a->base);
    event_del(a->deadline);
    if (a->request != NULL) {
        /* Late or interrupted: the reply that may still come belongs to no question. */
        a->request = NULL;
        if (!a->is_interrupted)
            text_addf(error, "%s does not answer", asker_name(a));
        if (a->link != NULL)
            frame_link_close(a->link, FRAME_CLOSE_STOPPED, NULL);
    }
    return a->reply;
}

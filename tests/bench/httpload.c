/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * httpload -p PORT -u PATH -b BODY-BYTES [-c CONNECTIONS] [-r RATE] [-n KEYS] [-d SECONDS]
 *          [-w WARM-UP] [-P PID,…] [-H HOST] [-t] [-N] [-i]
 *
 * Requests a path of an HTTP/1.1 server on 127.0.0.1 and checks every answer: status 200, and a
 * body as long as its Content-Length and as -b say.
 *   -c  so many connections (64), kept open, a request at a time on each: a closed loop
 *   -r  open loop: so many requests per second on a fixed schedule, on whichever connection is
 *       free. Latency counts from when the request was due.
 *   -n  PATH's "%" becomes 0 .. KEYS-1, one after the other; then ends, whatever -d says
 *   -t  over TLS;  -N  a new connection for each request;  -P  the server's processes, measured
 *   -i  one request on each connection, then "ready", and all stay open until standard input ends
 * Prints one JSON object.
 */
#include "tests/bench/tool.h"

#include "common/text/text.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    HEAD_MAX = 2048, /* of an answer; what a first read may bring */
    BODY_READ = 1 << 20,
    DISCARD = 32 << 20, /* most that one recv(MSG_TRUNC) may throw away */
    OPENING_MAX = 128,  /* connections being opened at once, with -i */
    SILENCE_NS = 1000000000,
};

enum state { CLOSED, CONNECTING, SHAKING, FREE, HEAD, BODY };

struct conn {
    enum state state;
    int fd;
    SSL *ssl;
    uint64_t due_ns;
    uint64_t left; /* of the body */
    uint32_t head_n;
    bool closes; /* the server said so */
    struct conn *next_free;
    bool is_listed; /* among free_conns */
    char head[HEAD_MAX + 1];
};

struct options {
    uint16_t port;
    const char *path, *host;
    uint32_t connections, rate, keys;
    uint64_t body_bytes;
    double seconds, warm_up_seconds;
    bool is_tls, is_new_each, is_idle;
    struct pids server;
};

static struct options options = {
    .host = "www.example.com", .connections = 64, .seconds = 2, .warm_up_seconds = 0.3};
static struct conn *conns, *free_conns;
static int epoll_fd;
static SSL_CTX *tls;
static char body[BODY_READ];
static bool is_stopping;
static uint32_t next_key, n_opened, n_idle, next_source;
static uint64_t start_ns, from_ns, to_ns, last_answer_ns;
static uint64_t n_sent, n_answered, n_wrong, n_broken;
static struct histogram latency;

static void open_connection(struct conn *c);

static void parse_options(int argc, char **argv)
{
    struct options *o = &options;
    int c;

    while ((c = getopt(argc, argv, "p:u:b:c:r:n:d:w:P:H:tNi")) != -1) {
        if (c == 'p')
            o->port = (uint16_t)tool_number(optarg, 1, 65535);
        else if (c == 'u')
            o->path = optarg;
        else if (c == 'b')
            o->body_bytes = tool_number(optarg, 0, UINT32_MAX);
        else if (c == 'c')
            o->connections = (uint32_t)tool_number(optarg, 1, 100000);
        else if (c == 'r')
            o->rate = (uint32_t)tool_number(optarg, 1, 10000000);
        else if (c == 'n')
            o->keys = (uint32_t)tool_number(optarg, 1, UINT32_MAX);
        else if (c == 'd')
            o->seconds = tool_seconds(optarg);
        else if (c == 'w')
            o->warm_up_seconds = tool_seconds(optarg);
        else if (c == 'P')
            tool_parse_pids(optarg, &o->server);
        else if (c == 'H')
            o->host = optarg;
        else if (c == 't')
            o->is_tls = true;
        else if (c == 'N')
            o->is_new_each = true;
        else if (c == 'i')
            o->is_idle = true;
        else
            exit(2);
    }
    errno = 0;
    if (o->port == 0 || o->path == NULL || optind != argc)
        tool_die("usage: httpload -p PORT -u PATH -b BODY-BYTES [-c CONNECTIONS] …");
}

static void close_connection(struct conn *c)
{
    if (c->ssl) {
        SSL_set_quiet_shutdown(c->ssl, 1);
        SSL_free(c->ssl);
    }
    close(c->fd);
    c->ssl = NULL;
    c->state = CLOSED;
}

static void break_connection(struct conn *c, const char *why)
{
    if (n_broken++ == 0)
        fprintf(stderr, "httpload: %s (%s)\n", why, strerror(errno));
    if (n_broken > 100 + n_answered / 10)
        tool_die("too many connections broke");
    close_connection(c);
    if (!is_stopping)
        open_connection(c);
}

static bool has_more_to_send(void)
{
    return !is_stopping && (options.keys == 0 || next_key < options.keys);
}

static int format_request(char *buf, size_t cap)
{
    const char *percent = strchr(options.path, '%');
    int path_n = percent ? (int)(percent - options.path) : (int)strlen(options.path);
    char key[16] = "";

    if (percent)
        snprintf(key, sizeof(key), "%u", next_key);
    return snprintf(buf, cap, "GET %.*s%s%s HTTP/1.1\r\nHost: %s\r\n\r\n", path_n, options.path,
                    key, percent ? percent + 1 : "", options.host);
}

static void send_request(struct conn *c, uint64_t due_ns)
{
    char buf[1024];
    int n = format_request(buf, sizeof(buf));
    ssize_t sent;

    next_key++;
    n_sent++;
    c->due_ns = due_ns;
    c->state = HEAD;
    c->head_n = 0;
    sent = c->ssl ? SSL_write(c->ssl, buf, n) : write(c->fd, buf, (size_t)n);
    if (sent != n)
        break_connection(c, "a request could not be sent");
}

/* A connection that can take a request: at once in a closed loop, when one is due in an open one.
 */
static void become_free(struct conn *c)
{
    c->state = FREE;
    if (options.rate) {
        if (!c->is_listed) {
            c->next_free = free_conns;
            free_conns = c;
            c->is_listed = true;
        }
    } else if (has_more_to_send()) {
        send_request(c, options.is_new_each ? c->due_ns : tool_now_ns());
    } else {
        close_connection(c);
    }
}

static void send_due(void)
{
    uint64_t due;

    while (free_conns && has_more_to_send() &&
           (due = start_ns + n_sent * TOOL_NS_PER_S / options.rate) <= tool_now_ns()) {
        struct conn *c = free_conns;

        free_conns = c->next_free;
        c->is_listed = false;
        if (c->state == FREE)
            send_request(c, due);
    }
}

static void finish_answer(struct conn *c)
{
    uint64_t now = tool_now_ns();

    last_answer_ns = now;
    if (options.keys || (now >= from_ns && now < to_ns)) {
        n_answered++;
        histogram_add(&latency, now > c->due_ns ? now - c->due_ns : 0);
    }
    if (options.is_idle) {
        c->state = FREE;
        n_idle++;
        if (n_opened < options.connections)
            open_connection(&conns[n_opened++]);
    } else if (options.is_new_each || c->closes) {
        close_connection(c);
        if (has_more_to_send())
            open_connection(c);
    } else {
        become_free(c);
    }
}

/* The Content-Length of a complete head; UINT64_MAX: it has none. */
static uint64_t read_length(struct conn *c)
{
    uint64_t length = UINT64_MAX;

    for (char *p = c->head; (p = strchr(p, '\n')) != NULL; p++) {
        if ((p[1] | 0x20) != 'c')
            continue;
        if (strncasecmp(p + 1, "content-length:", 15) == 0)
            length = strtoull(p + 16, NULL, 10);
        else if (strncasecmp(p + 1, "connection: close", 17) == 0)
            c->closes = true;
    }
    return length;
}

/* Bytes that arrived while the head was expected. False: the connection broke. */
static bool take_head(struct conn *c, size_t n)
{
    const char *end;
    size_t beyond;
    uint64_t length;

    c->head_n += (uint32_t)n;
    c->head[c->head_n] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) {
        if (c->head_n < HEAD_MAX)
            return true;
        break_connection(c, "an answer's head is too long");
        return false;
    }
    beyond = c->head_n - (size_t)(end + 4 - c->head);
    c->head[c->head_n - beyond - 2] = '\0';
    length = read_length(c);
    if (length != options.body_bytes || strncmp(c->head + 8, " 200", 4) != 0) {
        if (n_wrong++ == 0)
            fprintf(stderr, "httpload: a wrong answer:\n%s\n", c->head);
        length = length == UINT64_MAX ? beyond : length;
    }
    if (beyond > length) {
        break_connection(c, "a body is longer than its Content-Length");
        return false;
    }
    c->left = length - beyond;
    c->state = BODY;
    return true;
}

static ssize_t receive(struct conn *c)
{
    bool is_head = c->state == HEAD;
    char *to = is_head ? c->head + c->head_n : body;
    size_t room = is_head ? HEAD_MAX - c->head_n : BODY_READ;
    ssize_t n;

    if (c->ssl) {
        n = SSL_read(c->ssl, to, (int)room);
        if (n <= 0)
            return SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ ? 0 : -1;
        return n;
    }
    if (is_head)
        n = read(c->fd, to, room);
    else
        n = recv(c->fd, NULL, c->left < DISCARD ? c->left : DISCARD, MSG_TRUNC);
    return n < 0 && errno == EAGAIN ? 0 : (n > 0 ? n : -1);
}

/* Reads until nothing more is there or the answer is complete. */
static void take_input(struct conn *c)
{
    do {
        bool is_head = c->state == HEAD;
        ssize_t n = is_head || c->state == BODY ? receive(c) : -1;

        if (n < 0)
            break_connection(c, "the server broke a connection");
        if (n <= 0 || (is_head && !take_head(c, (size_t)n)))
            return;
        if (!is_head)
            c->left -= (uint64_t)n;
        if (c->state == BODY && c->left == 0) {
            finish_answer(c);
            return;
        }
    } while (c->ssl == NULL || SSL_has_pending(c->ssl));
}

static void shake(struct conn *c)
{
    int r = SSL_connect(c->ssl);
    int error = r == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, r);

    if (error == SSL_ERROR_NONE)
        become_free(c);
    else if (error != SSL_ERROR_WANT_READ)
        break_connection(c, "a TLS handshake failed");
}

static void finish_connecting(struct conn *c)
{
    int error = 0;
    socklen_t n = sizeof(error);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if ((errno = error) != 0) {
        break_connection(c, "cannot connect");
        return;
    }
    tool_watch(epoll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    if (!options.is_tls) {
        become_free(c);
        return;
    }
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, options.host);
    c->state = SHAKING;
    shake(c);
}

/* From sixteen addresses in turn, so that ports in TIME_WAIT do not run out. */
static void open_connection(struct conn *c)
{
    struct sockaddr_in to = tool_loopback(options.port), from = tool_loopback(0);
    int one = 1;

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + next_source++ % 16);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof(from)) ||
        (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS))
        tool_die("cannot connect to port %u", options.port);
    c->due_ns = tool_now_ns();
    c->state = CONNECTING;
    c->closes = false;
    tool_watch(epoll_fd, EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
}

static void handle(struct conn *c)
{
    if (c->state == CONNECTING)
        finish_connecting(c);
    else if (c->state == SHAKING)
        shake(c);
    else if (c->state != CLOSED)
        take_input(c);
}

static void prepare(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (options.is_tls) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_read_ahead(tls, 1);
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_256_GCM_SHA384"); /* the same for every server */
    }
    conns = base_zalloc(options.connections, sizeof(*conns));
    n_opened = options.connections;
    if (options.is_idle && n_opened > OPENING_MAX)
        n_opened = OPENING_MAX;
    for (uint32_t i = 0; i < n_opened; i++)
        open_connection(&conns[i]);
}

/* Handles what has happened, waiting at most until the next request is due. */
static void turn(void)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {0, 10000000};
    int n;

    if (options.rate) {
        uint64_t due = start_ns + n_sent * TOOL_NS_PER_S / options.rate, now = tool_now_ns();

        if (free_conns && due < now + 10000000)
            wait.tv_nsec = due > now ? (long)(due - now) : 0;
    }
    n = epoll_pwait2(epoll_fd, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++)
        handle(events[i].data.ptr);
    if (options.rate)
        send_due();
}

static void stay_idle(void)
{
    char byte;

    while (n_idle < options.connections) {
        if (tool_now_ns() > last_answer_ns + 10 * (uint64_t)SILENCE_NS)
            tool_die("only %u connections got an answer", n_idle);
        turn();
    }
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

static void run(struct usage *from, struct usage *to)
{
    bool has_begun = false;

    while (tool_now_ns() < to_ns && (options.keys == 0 || n_answered + n_broken < options.keys)) {
        if (!has_begun && (options.keys || tool_now_ns() >= from_ns)) {
            usage_read(&options.server, from);
            has_begun = true;
        }
        if (tool_now_ns() > last_answer_ns + 5 * (uint64_t)SILENCE_NS)
            tool_die("no answer for 5 s, after %lu", n_answered);
        turn();
    }
    usage_read(&options.server, to);
    is_stopping = true;
}

int main(int argc, char **argv)
{
    struct usage from = {0}, to;

    signal(SIGPIPE, SIG_IGN);
    parse_options(argc, argv);
    prepare();
    start_ns = last_answer_ns = tool_now_ns();
    from_ns = start_ns + (uint64_t)(options.warm_up_seconds * TOOL_NS_PER_S);
    to_ns = from_ns + (uint64_t)(options.seconds * TOOL_NS_PER_S);
    if (options.is_idle) {
        stay_idle();
        return 0;
    }
    if (options.keys)
        to_ns = start_ns + 600 * (uint64_t)TOOL_NS_PER_S;
    run(&from, &to);
    printf("{\"answers\":%lu,\"broken\":%lu,\"wrong\":%lu", n_answered, n_broken, n_wrong);
    usage_print(&from, &to, n_answered);
    histogram_print(&latency);
    printf("}\n");
    return n_broken > n_answered / 1000;
}

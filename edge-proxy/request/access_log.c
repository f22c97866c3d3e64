/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access log: JSON lines. A worker writes into its chunk of memory; full or old chunks are
 * queued for the log's thread, at most LOG_QUEUE_MAX of them.
 */
#include "edge-proxy/request/request_internal.h"

#include "common/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOG_CHUNK_BYTES = 131072,
    LOG_LINE_MAX = 40960,   /* with every byte of every value escaped */
    LOG_VALUE_MAX = 1024,   /* of a value; what is longer is cut */
    LOG_QUEUE_MAX = 64,     /* chunks */
    LOG_FLUSH_MS = 200,     /* a line is in the file after so long */
    LOG_COMPLAIN_MS = 10000 /* between two messages about a file that fails */
};

struct log_chunk {
    struct log_chunk *next;
    uint64_t n_lines;
    size_t n;
    char bytes[LOG_CHUNK_BYTES];
};

struct access_log {
    pthread_t thread;
    pthread_mutex_t lock; /* of all below but is_on and counters */
    pthread_cond_t changed;
    struct log_chunk *first, **last;
    unsigned n_queued;
    bool is_stopping;
    int fd;
    char *path;
    int64_t complained_ms;
    _Atomic bool is_on;
    struct metrics_block *counters; /* the thread's own */
};

/* ---- The thread ---- */

static void complain(struct access_log *l, const char *what, int why)
{
    int64_t now_ms = clock_mono_ms();

    if (l->complained_ms != 0 && now_ms - l->complained_ms < LOG_COMPLAIN_MS)
        return;
    l->complained_ms = now_ms;
    log_error("request", "access log: cannot %s: %s; lines are lost", what, strerror(why));
}

static uint64_t count_lines(const char *bytes, size_t n)
{
    uint64_t lines = 0;

    for (const char *p = bytes; (p = memchr(p, '\n', n - (size_t)(p - bytes))) != NULL; p++)
        lines++;
    return lines;
}

/* Bytes written; less than n when the file takes no more. */
static size_t write_bytes(struct access_log *l, int fd, const char *bytes, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t now = write(fd, bytes + done, n - done);

        if (now > 0) {
            done += (size_t)now;
        } else if (now < 0 && errno != EINTR) {
            complain(l, "write", errno);
            break;
        }
    }
    return done;
}

/* A full disk cuts a line somewhere: takes the n bytes of it back, so that what is written when
 * there is room again begins on a line of its own. A pipe keeps them. */
static void take_back(int fd, size_t n)
{
    off_t end = lseek(fd, 0, SEEK_CUR);
    struct stat file;

    if (end >= (off_t)n && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size == end &&
        ftruncate(fd, end - (off_t)n) != 0)
        log_error("request", "access log: cannot take half a line back: %s", strerror(errno));
}

static void write_chunk(struct access_log *l, int fd, const struct log_chunk *c)
{
    size_t done;
    const char *end;
    uint64_t lines = c->n_lines;

    if (fd < 0)
        return;
    done = write_bytes(l, fd, c->bytes, c->n);
    if (done < c->n) {
        lines = count_lines(c->bytes, done);
        end = memrchr(c->bytes, '\n', done);
        take_back(fd, end != NULL ? done - (size_t)(end + 1 - c->bytes) : done);
    }
    metrics_add(l->counters, COUNT_LOG_LINES, lines);
    metrics_add(l->counters, COUNT_LOG_DROPPED, c->n_lines - lines);
}

/* The file is written without the lock; its descriptor is swapped, by dup2, in place. */
static void *log_main(void *arg)
{
    struct access_log *l = arg;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        struct log_chunk *c = l->first;
        int fd = l->fd;

        if (c == NULL && l->is_stopping)
            break;
        if (c == NULL) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        l->first = c->next;
        if (l->first == NULL)
            l->last = &l->first;
        pthread_mutex_unlock(&l->lock);
        write_chunk(l, fd, c);
        free(c);
        pthread_mutex_lock(&l->lock);
        l->n_queued--;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct access_log *access_log_new(void)
{
    struct access_log *l = base_zalloc(1, sizeof(*l));

    l->last = &l->first;
    l->fd = -1;
    l->counters = metrics_add_block(&counters_all);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    ensure(pthread_create(&l->thread, NULL, log_main, l) == 0);
    pthread_setname_np(l->thread, "access-log");
    return l;
}

/* A pipe that nobody reads is refused (ENXIO) rather than waited for; once open, only the log's
 * thread ever waits. */
static int open_file(const char *path)
{
    int fd;

    if (strcmp(path, "-") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd >= 0)
        ensure(fcntl(fd, F_SETFL, O_APPEND) == 0);
    return fd;
}

int access_log_open(const char *path, struct errors *errors, struct place place)
{
    int fd = open_file(path);

    if (fd < 0)
        errors_add(errors, place, "cannot open the access log %s: %s%s", path, strerror(errno),
                   errno == ENOENT  ? ": its folder does not exist"
                   : errno == ENXIO ? ": it is a pipe that nobody reads"
                                    : "");
    return fd;
}

/* The number stays the same, so that a write under way never meets a closed descriptor. */
static void swap_fd(struct access_log *l, int fd)
{
    if (l->fd < 0) {
        l->fd = fd;
        return;
    }
    ensure(dup3(fd, l->fd, O_CLOEXEC) == l->fd);
    close(fd);
}

void access_log_use(struct access_log *l, const char *path, int fd)
{
    atomic_store(&l->is_on, path != NULL);
    pthread_mutex_lock(&l->lock);
    free(l->path);
    l->path = path != NULL ? base_strdup(path) : NULL;
    if (fd >= 0)
        swap_fd(l, fd);
    pthread_mutex_unlock(&l->lock);
}

void access_log_reopen(struct access_log *l)
{
    int fd;

    if (l->path == NULL)
        return;
    fd = open_file(l->path);
    if (fd < 0) {
        log_error("request", "cannot open the access log again path=%s: %s; the old file goes on",
                  l->path, strerror(errno));
        return;
    }
    pthread_mutex_lock(&l->lock);
    swap_fd(l, fd);
    pthread_mutex_unlock(&l->lock);
    log_info("request", "access log opened again path=%s", l->path);
}

void access_log_free(struct access_log *l, unsigned wait_ms)
{
    struct timespec until;

    pthread_mutex_lock(&l->lock);
    l->is_stopping = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (pthread_timedjoin_np(l->thread, NULL, &until) != 0) {
        log_warn("request", "access log is stuck; its last lines are lost");
        return; /* the thread still uses l; the process ends */
    }
    if (l->fd >= 0)
        close(l->fd);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    free(l->path);
    free(l);
}

/* ---- The workers' side ---- */

void access_log_flush(struct request_worker *rw)
{
    struct access_log *l = rw->shared->log;
    struct log_chunk *c = rw->log_chunk;
    bool is_full;

    if (c == NULL || c->n == 0)
        return;
    pthread_mutex_lock(&l->lock);
    is_full = l->n_queued >= LOG_QUEUE_MAX;
    if (!is_full) {
        c->next = NULL;
        *l->last = c;
        l->last = &c->next;
        l->n_queued++;
        pthread_cond_signal(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    if (!is_full) {
        rw->log_chunk = NULL;
        return;
    }
    metrics_add(rw->w->counters, COUNT_LOG_DROPPED, c->n_lines);
    c->n = c->n_lines = 0;
}

static void on_log_timer(struct wheel_timer *t)
{
    access_log_flush(CONTAINER_OF(t, struct request_worker, log_timer));
}

static struct log_chunk *chunk_with_room(struct request_worker *rw)
{
    if (rw->log_chunk != NULL && rw->log_chunk->n + LOG_LINE_MAX > LOG_CHUNK_BYTES)
        access_log_flush(rw);
    if (rw->log_chunk == NULL) {
        rw->log_chunk = base_alloc(sizeof(*rw->log_chunk));
        rw->log_chunk->n = rw->log_chunk->n_lines = 0;
    }
    if (rw->log_chunk->n == 0)
        wheel_set(&rw->w->wheel, &rw->log_timer, LOG_FLUSH_MS, on_log_timer);
    return rw->log_chunk;
}

/* ---- One line ---- */

static const char hex[] = "0123456789abcdef";

void request_write_id(const struct request *r, char out[REQUEST_ID_BYTES])
{
    uint64_t prefix = r->rw->id_prefix, number = r->id;

    for (int i = 15; i >= 0; i--, prefix >>= 4)
        out[i] = hex[prefix & 15];
    for (int i = REQUEST_ID_BYTES - 1; i >= 16; i--, number >>= 4)
        out[i] = hex[number & 15];
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Control bytes and those beyond ASCII as \u00XX: any bytes give valid JSON. */
static void write_escape(struct writer *w, uint8_t c)
{
    if (c == '"' || c == '\\') {
        writer_u8(w, '\\');
        writer_u8(w, c);
        return;
    }
    fields_write_str(w, STR("\\u00"));
    writer_u8(w, (uint8_t)hex[c >> 4]);
    writer_u8(w, (uint8_t)hex[c & 15]);
}

static void write_escaped(struct writer *w, struct str s)
{
    size_t n = s.n < LOG_VALUE_MAX ? s.n : LOG_VALUE_MAX, start = 0;

    for (size_t i = 0; i < n; i++) {
        if (likely(is_plain((uint8_t)s.p[i])))
            continue;
        writer_add(w, s.p + start, i - start);
        write_escape(w, (uint8_t)s.p[i]);
        start = i + 1;
    }
    writer_add(w, s.p + start, n - start);
}

static void write_member(struct writer *w, struct str key, struct str value)
{
    fields_write_str(w, key);
    writer_u8(w, '"');
    write_escaped(w, value);
    writer_u8(w, '"');
}

/* A word of our own, in which there is nothing to escape. */
static void write_word(struct writer *w, struct str key, struct str word)
{
    fields_write_str(w, key);
    writer_u8(w, '"');
    fields_write_str(w, word);
    writer_u8(w, '"');
}

static void write_optional(struct writer *w, struct str key, struct str value)
{
    if (value.n > 0)
        write_member(w, key, value);
}

static void write_digits(struct writer *w, unsigned value, unsigned digits)
{
    uint8_t *p = writer_make(w, digits);

    for (; p != NULL && digits > 0; value /= 10)
        p[--digits] = (uint8_t)('0' + value % 10);
}

static void write_time(struct writer *w)
{
    static _Thread_local int64_t iso_s = -1;
    static _Thread_local char iso[CLOCK_ISO];
    int64_t now_ms = clock_wall_ms();

    if (now_ms / 1000 != iso_s) {
        iso_s = now_ms / 1000;
        clock_format_iso(iso_s, iso);
    }
    fields_write_str(w, STR("{\"time\":\""));
    writer_add(w, iso, 19);
    writer_u8(w, '.');
    write_digits(w, (unsigned)(now_ms % 1000), 3);
    fields_write_str(w, STR("Z\""));
}

static struct str cache_word(const struct request *r)
{
    switch (r->cache_counter) {
    case COUNT_CACHE_HIT:
        return STR("hit");
    case COUNT_CACHE_STALE:
        return STR("stale");
    case COUNT_CACHE_REVALIDATED:
        return STR("revalidated");
    case COUNT_CACHE_MISS:
        return STR("miss");
    case COUNT_CACHE_COLLAPSED:
        return STR("collapsed");
    case COUNT_CACHE_PASS:
        return STR("pass");
    default:
        return STR("none");
    }
}

static void write_request_part(struct request *r, struct writer *w)
{
    char text[ADDR_TEXT];

    write_word(w, STR(",\"client\":"), str_of(ip_format(&r->client.ip, text)));
    write_member(w, STR(",\"method\":"), r->head.method_text);
    write_member(w, STR(",\"host\":"), r->head.authority);
    fields_write_str(w, STR(",\"path\":\""));
    write_escaped(w, r->head.path);
    write_escaped(w, r->head.query);
    writer_u8(w, '"');
    write_word(w, STR(",\"protocol\":"), str_of(r->client.protocol));
    if (r->client.tls_version != NULL)
        write_word(w, STR(",\"tls\":"), str_of(r->client.tls_version));
    write_optional(w, STR(",\"user_agent\":"), fields_value(&r->head.fields, FIELD_USER_AGENT));
    write_optional(w, STR(",\"referer\":"), fields_value(&r->head.fields, FIELD_REFERER));
}

static void write_response_part(struct request *r, struct writer *w, bool is_whole,
                                uint64_t bytes_sent)
{
    int64_t took_us = clock_mono_us() - r->start_us;
    char id[REQUEST_ID_BYTES];

    fields_write_str(w, STR(",\"status\":"));
    fields_write_u64(w, r->state == REQUEST_WAITING ? 499 : r->response.status);
    fields_write_str(w, STR(",\"bytes\":"));
    fields_write_u64(w, bytes_sent);
    fields_write_str(w, STR(",\"duration_ms\":"));
    fields_write_u64(w, (uint64_t)took_us / 1000);
    writer_u8(w, '.');
    write_digits(w, (unsigned)(took_us % 1000), 3);
    write_word(w, STR(",\"cache\":"), cache_word(r));
    if (r->origin_name != NULL)
        write_member(w, STR(",\"upstream\":"), str_of(r->origin_name));
    if (r->failure != UPSTREAM_FINE)
        write_word(w, STR(",\"upstream_error\":"), str_of(upstream_failure_label(r->failure)));
    request_write_id(r, id);
    write_word(w, STR(",\"request_id\":"), (struct str){id, REQUEST_ID_BYTES});
    if (!is_whole)
        fields_write_str(w, STR(",\"aborted\":true"));
}

void access_log_add(struct request *r, bool is_whole, uint64_t bytes_sent)
{
    struct log_chunk *c;
    struct writer w;

    if (!atomic_load_explicit(&r->rw->shared->log->is_on, memory_order_relaxed))
        return;
    c = chunk_with_room(r->rw);
    w = writer_of(c->bytes + c->n, LOG_CHUNK_BYTES - c->n);
    write_time(&w);
    write_request_part(r, &w);
    write_response_part(r, &w, is_whole, bytes_sent);
    fields_write_str(&w, STR("}\n"));
    ensure(!w.is_full);
    c->n += (size_t)((char *)w.p - (c->bytes + c->n));
    c->n_lines++;
}

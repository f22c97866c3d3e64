/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of request share. */
#ifndef EDGE_PROXY_REQUEST_INTERNAL_H
#define EDGE_PROXY_REQUEST_INTERNAL_H

#include "common/clock/clock.h"
#include "edge-proxy/request/request.h"

#include <stdio.h>

enum {
    REQUEST_LOOKS_MAX = 4, /* look-ups, before it no longer waits for others */
    REQUEST_ID_BYTES = 24  /* hexadecimal: worker and start of the process, number */
};

/* ---- Workers ---- */

/* A generation as one worker holds it: freed (told to main) when nothing uses it any more. */
struct generation_use {
    struct generation *g;
    uint64_t n_requests;
    bool is_current;
};

struct request_worker {
    struct worker *w;
    struct request_shared *shared;
    struct upstream_worker *upstream;
    struct generation_use *current;
    struct log_chunk *log_chunk; /* lines not yet handed over */
    struct wheel_timer log_timer;
    struct request *free_requests;
    struct request *fetches;   /* without a client */
    uint64_t id_prefix, n_ids; /* request ids */
    int64_t date_s;            /* of date */
    char date[FIELDS_DATE_BYTES];
};

/* Now as a Date field has it. */
struct str worker_date(struct request_worker *rw, int64_t now_s);

/* ---- Requests ---- */

#define REQUEST_STEPS(X)                                       \
    X(ADMIT, admit)     /* may it be asked here? route it */   \
    X(LOOK_UP, look_up) /* what does the cache say? */         \
    X(JOIN, join)       /* wait for another request's fetch */ \
    X(SEND, send)       /* start an exchange with an origin */ \
    X(AWAIT, await)     /* its head, or its failure */         \
    X(JUDGE, judge)     /* what to do with that head */        \
    X(FILL, fill)       /* move the body into the cache */     \
    X(DELIVER, deliver) /* the client's session does the rest */

enum request_step {
#define REQUEST_STEP_ENUM_(id, name) REQUEST_##id,
    REQUEST_STEPS(REQUEST_STEP_ENUM_)
#undef REQUEST_STEP_ENUM_
};

enum step_result { STEP_AGAIN, STEP_WAIT };

/* Where an answer of our own sends the client. */
enum request_redirect { REDIRECT_NONE, REDIRECT_HTTPS, REDIRECT_ROUTE };

/* Where the response comes from. */
enum request_source { SOURCE_NONE, SOURCE_OWN, SOURCE_OBJECT, SOURCE_ORIGIN };

struct request {
    uint32_t magic;
    enum request_step step;
    struct request *next, **link; /* free, or in the worker's fetches */
    struct request_worker *rw;
    const struct stream_ops *ops;
    void *stream; /* NULL: no client (any more) */
    struct request_client client;
    struct generation_use *use;
    struct route route;
    uint64_t id;
    int64_t start_us, sent_s;
    bool is_upgrade, has_taken_body;

    enum request_state state;
    enum request_source source;
    struct request_response response;
    unsigned look_ups;
    bool is_loaded; /* it waited for the disk */
    enum counter cache_counter;
    struct cache_status cache_status;
    struct buffer *own_head; /* copies of the head's slices, once the session's are gone */

    /* SOURCE_OWN */
    struct str own_body;
    const char *own_type; /* its Content-Type */
    enum request_redirect redirect;
    uint32_t retry_after_s;

    /* SOURCE_OBJECT */
    struct cache_object *object;
    struct cache_info info;
    struct cache_reader reader;
    bool is_partial;
    struct byte_range range;
    uint64_t whole_bytes;
    int64_t now_s;

    /* A fetch */
    struct cache_lead *lead;
    struct cache_waiter *waiter;
    struct cache_object *fill;
    bool is_fill_stopped;
    struct upstream_exchange *x;
    uint64_t tried;
    unsigned attempts;
    bool is_fresh_wanted, is_retry; /* is_retry: counts in the pool's budget */
    struct wheel_timer try_timer;
    enum upstream_failure failure;
    const char *origin_name;

    struct http_framing framing;
    struct http_head head;
};
enum { REQUEST_MAGIC = 0x0e9e57 };

static inline const struct config *request_config(const struct request *r)
{
    return r->use->g->config;
}
static inline struct worker *request_flow(const struct request *r)
{
    return r->rw->w;
}

/* request.c */
struct request *request_take(struct request_worker *rw);
void request_run(struct request *r);
/* Runs, then wakes the session; frees a request that has neither client nor fetch. */
void request_go_on(struct request *r);
/* Answers with a body of our own. */
void request_answer(struct request *r, unsigned status);
static inline enum step_result request_answer_with(struct request *r, unsigned status)
{
    request_answer(r, status);
    return STEP_WAIT;
}
struct request_response request_own_response(const struct request *r, unsigned status);
/* The response is one of our own, whatever else is under way. */
void request_set_own(struct request *r, unsigned status);
/* The part of the request by which origins are chosen or requests counted; false: it has none. The
 * client's address is its bytes. */
bool request_find_key(const struct request *r, enum config_hash_key kind, const char *name,
                      struct str *out);
/* What {variable} in the operator's rules stands for; for rules_apply. */
void request_write_variable(void *arg, unsigned variable, struct writer *w);
/* A copy without client that refreshes r's object under lead. */
void request_spawn_refresh(struct request *r, struct cache_lead *lead);
/* Gives r slices of its own in place of the session's. */
void request_own_head(struct request *r, const struct request *from);
void request_free(struct request *r);

/* admit.c */
enum step_result request_step_admit(struct request *r);
/* true: the client has done too much of it. */
bool request_blame(struct request *r, enum guard_mischief what);
/* The key under which the cache has the response. */
void request_write_key(const struct request *r, struct writer *w);

/* deliver.c: responses, whatever their source. */
void deliver_object(struct request *r);
void deliver_origin(struct request *r);

/* fetch.c: exchanges with origins and what comes of them. */
void fetch_start(struct request *r);
void fetch_judge(struct request *r);
void fetch_fill(struct request *r);
/* Ends whatever is under way, in the right way for those who wait. */
void fetch_drop(struct request *r);
/* What is asked of upstream. */
void fetch_describe(struct request *r, struct upstream_request *out);
/* Too much load for what needs an origin: stale, or 503. */
void fetch_shed(struct request *r);
/* Its attempt, once under way, gets only so long. */
void fetch_limit_try(struct request *r);
/* The exchange failed before its head: begins another one, or answers. */
void fetch_retry(struct request *r);
/* The head that came is none to pass on: another origin is asked instead. */
bool fetch_retry_status(struct request *r);

/* forward.c */
void forward_describe(void *arg, struct upstream_start *out);
void forward_write_target(void *arg, struct writer *w);
void forward_write_fields(void *arg, struct writer *w);

/* access_log.c */
/* A worker's random prefix and a running number, in hexadecimal. */
void request_write_id(const struct request *r, char out[REQUEST_ID_BYTES]);
void access_log_add(struct request *r, bool is_whole, uint64_t bytes_sent);
/* Hands over what has gathered. */
void access_log_flush(struct request_worker *rw);

#endif

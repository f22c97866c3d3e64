/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gslbctl: what the operator asks of a gslb-dns node or an edge, and how the answer is shown. One
 * thread; everything lives until the program ends unless said otherwise.
 *
 *   gslbctl.c (arguments, commands) → ask (one question over the channel) → status, explain
 *   (what is shown) → table, json
 */
#ifndef GSLBCTL_H
#define GSLBCTL_H

#include "common/arena/arena.h"
#include "common/frame/frame.h"
#include "common/json/json.h"
#include "common/text/text.h"

/* What scripts may rely on. */
enum gslbctl_exit {
    GSLBCTL_FINE = 0,
    GSLBCTL_BAD_NEWS =
        1, /* the answer is: a region without a usable edge, all edges lost, no answer, refused */
    GSLBCTL_USAGE = 2,
    GSLBCTL_UNREACHABLE = 3,
};

/* Whom to ask. */
struct target {
    const char *socket_path; /* used when server is NULL */
    const char *server;      /* "HOST:PORT" */
    const char *certificate_path, *key_path, *ca_path;
};

/* How to show it. */
struct view {
    bool has_colour;
    bool is_terminal;
    unsigned columns; /* 0: do not shorten lines */
    unsigned rows;    /* 0: any number */
};

/* ---- arguments.c: the command line. */
#define GSLBCTL_DEFAULT_SOCKET "/run/gslb-dns/control.sock"

enum {
    OPTION_JSON = 1,
    OPTION_WATCH = 2,
    OPTION_REASON = 4,
    OPTION_ALGORITHM = 8,
    OPTION_ABORT = 16,
    OPTION_LIFETIME = 32,
    OPTION_FULL = 64,
    OPTION_SOFT = 128,
    OPTION_WHAT_IF = 256,
    OPTION_FOR = 512
};
enum { WHAT_IF_MAX = 64 };

struct call {
    struct target target;
    struct view view;
    const char *reason, *algorithm, *lifetime;
    char *what_if[WHAT_IF_MAX];
    size_t n_what_if;
    unsigned options; /* OPTION_…, those given */
    bool wants_help;
    char **args; /* after the command */
    int n_args;
    struct asker *asker;
};

/* Ends the program when there is nothing to be made of it, or all is said. */
struct call arguments_read(int argc, char **argv);

/* ---- ask.c: a connection that is made when needed and kept for the next question. */
struct asker;
struct asker *asker_new(const struct target *target);
void asker_free(struct asker *a);
struct event_base *asker_base(struct asker *a);
/* Asks and waits for at most timeout_ms. The reply lives in arena (zeroed by the caller, freed by
 * arena_free). NULL: error says why and what to do. */
const Gslb__Reply *asker_ask(struct asker *a, const Gslb__Request *request, uint32_t timeout_ms,
                             struct arena *arena, struct text *error);
/* Ends a question that is waiting, from an event on asker_base. */
void asker_interrupt(struct asker *a);
/* "/run/gslb-dns/control.sock" or "HOST:PORT". */
const char *asker_name(const struct asker *a);

/* ---- status.c, explain.c: each shows, and gives the exit code that the news deserve. */
enum gslbctl_exit status_show(const Gslb__StatusReply *s, const struct view *view,
                              struct text *out);
enum gslbctl_exit status_show_edge(const Gslb__Report *r, const struct view *view,
                                   struct text *out);
enum gslbctl_exit explain_show(const Gslb__ExplainReply *e, const struct view *view,
                               struct text *out);
/* "10m" (to 30 days), in seconds. */
bool lifetime_read(const char *text, uint32_t *out);
/* ---- simulate.c */
enum gslbctl_exit simulate_show(const Gslb__SimulateReply *s, const struct view *view,
                                struct text *out);
/* The clients of a text, "CLIENT [WEIGHT]" a line, into the request, built in arena. False: error
 * says what is wrong. */
MUST_USE bool simulate_read_clients(struct arena *arena, struct str text,
                                    Gslb__SimulateRequest *out, struct text *error);
/* ---- keys.c: the keys of signed zones; zone NULL: of all. */
enum gslbctl_exit keys_show(const Gslb__StatusReply *s, const char *zone, const struct view *view,
                            struct text *out);
void json_of_keys(const Gslb__StatusReply *s, const char *zone, struct text *out);
void json_keys(struct json *j, const Gslb__ZoneStatus *z);
/* How many of a region's edges are in the answers. */
size_t status_usable_edges(const Gslb__RegionStatus *r);

/* ---- show_json.c: the same as one JSON object and a newline. Fields are only ever added. */
void json_of_status(const Gslb__StatusReply *s, struct text *out);
void json_of_edge(const Gslb__Report *r, struct text *out);
void json_of_explain(const Gslb__ExplainReply *e, struct text *out);
void json_of_simulate(const Gslb__SimulateReply *s, struct text *out);

/* ---- acme.c: "add NAME TEXT", "remove NAME [TEXT]" or "list"; lifetime "10m" or NULL. False: it
 * is none of these. The request borrows the arguments. */
bool acme_read(char **args, int n_args, const char *lifetime, Gslb__AcmeRequest *out);

/* ---- purge.c: "all", or a kind and what is to be purged. Builds the request in arena; false: it
 * is none of these. */
bool purge_read_request(struct arena *arena, char **args, int n_args, bool is_soft,
                        Gslb__PurgeRequest *out);

/* ---- watch.c: the status once a second until Ctrl-C. */
enum gslbctl_exit watch_status(struct asker *a, struct view *view, bool is_json);

/* ---- table.c: columns that line up, whatever the script they are written in. */
enum table_colour { TABLE_PLAIN, TABLE_BOLD, TABLE_DIM, TABLE_GREEN, TABLE_YELLOW, TABLE_RED };
enum { TABLE_COLUMNS = 10 };
struct table_cell {
    char *text;
    enum table_colour colour;
};
struct table {
    struct table_cell (*rows)[TABLE_COLUMNS];
    size_t n, cap;
    size_t n_columns;
    const char *right; /* per column 'r' or 'l' */
};
/* right: one letter per column. */
void table_start(struct table *t, const char *right);
void table_row(struct table *t);
/* Sets a cell of the newest row; bytes that a terminal would obey are shown as '?'. */
void table_cell(struct table *t, size_t column, enum table_colour colour, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* The last column is shortened to what fits; frees the table. */
void table_end(struct table *t, const struct view *view, struct text *out);
/* Adds s in a colour, cleaned as a cell is. */
void table_paint(const struct view *view, enum table_colour colour, const char *s,
                 struct text *out);
/* How long ago, to the second: "1m 5s". buf is returned. */
const char *table_age(uint64_t ms, char buf[TEXT_SHORT]);
/* "  label      text", on as many lines as the terminal's width needs. */
void table_line(const struct view *view, const char *label, enum table_colour colour, const char *s,
                struct text *out);

#endif

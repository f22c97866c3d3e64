/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

#include "common/base/version.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ANY_NUMBER = -1 };
enum { ANSWER_MS = 10000, RELOAD_MS = 600000 };
struct command {
    const char *name, *args;
    int n_args; /* or ANY_NUMBER */
    unsigned options;
    enum gslbctl_exit (*run)(struct call *call);
    const char *summary, *help;
    int n_optional; /* of n_args, so many may be left out */
};

/* Prints the error and gives the exit code; takes over error. */
static enum gslbctl_exit unreachable(struct text *error)
{
    fprintf(stderr, "gslbctl: %s\n", error->p);
    text_free(error);
    return GSLBCTL_UNREACHABLE;
}

static enum gslbctl_exit refused(const Gslb__Reply *reply)
{
    size_t n = strlen(reply->error);

    fprintf(stderr, "%s%s", reply->error, n > 0 && reply->error[n - 1] == '\n' ? "" : "\n");
    return GSLBCTL_BAD_NEWS;
}

static void print(const struct text *t)
{
    if (t->n > 0)
        fwrite(t->p, 1, t->n, stdout);
}

/* Asks, and prints the text that comes back. */
static enum gslbctl_exit ask_for_text(struct call *call, const Gslb__Request *request,
                                      uint32_t timeout_ms)
{
    struct text error = {0};
    struct arena arena = {0};
    const Gslb__Reply *reply = asker_ask(call->asker, request, timeout_ms, &arena, &error);
    enum gslbctl_exit news = GSLBCTL_FINE;

    if (reply == NULL)
        return unreachable(&error);
    if (reply->error[0] != '\0') {
        news = refused(reply);
    } else if (reply->body_case == GSLB__REPLY__BODY_TEXT) {
        size_t n = strlen(reply->text->text);

        fputs(reply->text->text, stdout);
        if (n > 0 && reply->text->text[n - 1] != '\n')
            putchar('\n');
    }
    arena_free(&arena);
    return news;
}

/* Shows a status or an explanation. The news are judged also when JSON is printed. */
static enum gslbctl_exit show(const struct call *call, const Gslb__Reply *reply)
{
    struct text shown = {0}, json = {0};
    enum gslbctl_exit news = GSLBCTL_FINE;

    if (reply->body_case == GSLB__REPLY__BODY_STATUS) {
        news = status_show(reply->status, &call->view, &shown);
        json_of_status(reply->status, &json);
    } else if (reply->body_case == GSLB__REPLY__BODY_EDGE_STATUS) {
        news = status_show_edge(reply->edge_status, &call->view, &shown);
        json_of_edge(reply->edge_status, &json);
    } else if (reply->body_case == GSLB__REPLY__BODY_EXPLAIN) {
        news = explain_show(reply->explain, &call->view, &shown);
        json_of_explain(reply->explain, &json);
    } else if (reply->body_case == GSLB__REPLY__BODY_SIMULATE) {
        news = simulate_show(reply->simulate, &call->view, &shown);
        json_of_simulate(reply->simulate, &json);
    }
    print((call->options & OPTION_JSON) != 0 ? &json : &shown);
    text_free(&shown);
    text_free(&json);
    return news;
}

static enum gslbctl_exit ask_and_show(struct call *call, const Gslb__Request *request)
{
    struct text error = {0};
    struct arena arena = {0};
    const Gslb__Reply *reply = asker_ask(call->asker, request, ANSWER_MS, &arena, &error);
    enum gslbctl_exit news;

    if (reply == NULL)
        return unreachable(&error);
    news = reply->error[0] != '\0' ? refused(reply) : show(call, reply);
    arena_free(&arena);
    return news;
}

static enum gslbctl_exit run_status(struct call *call)
{
    Gslb__StatusRequest status = GSLB__STATUS_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    if ((call->options & OPTION_WATCH) != 0)
        return watch_status(call->asker, &call->view, (call->options & OPTION_JSON) != 0);
    request.action_case = GSLB__REQUEST__ACTION_STATUS;
    request.status = &status;
    return ask_and_show(call, &request);
}

static enum gslbctl_exit run_explain(struct call *call)
{
    Gslb__ExplainRequest explain = GSLB__EXPLAIN_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    explain.name = call->args[0];
    explain.client = call->args[1];
    explain.what_if = call->what_if;
    explain.n_what_if = call->n_what_if;
    request.action_case = GSLB__REQUEST__ACTION_EXPLAIN;
    request.explain = &explain;
    return ask_and_show(call, &request);
}

/* All of a file, "-" for what comes in. false: it cannot be read, and that was said. */
static bool read_file(const char *path, struct text *out)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char buf[4096];
    size_t n;

    if (f == NULL) {
        fprintf(stderr, "gslbctl: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (out->n <= FRAME_MAX_BYTES && (n = fread(buf, 1, sizeof(buf), f)) > 0)
        text_add(out, buf, n);
    if (f != stdin)
        fclose(f);
    return true;
}

static enum gslbctl_exit ask_simulate(struct call *call, struct arena *arena, struct str clients)
{
    Gslb__SimulateRequest simulate = GSLB__SIMULATE_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    struct text error = {0};

    if (!simulate_read_clients(arena, clients, &simulate, &error)) {
        fprintf(stderr, "gslbctl: %s:%s\n", call->args[1], error.p);
        text_free(&error);
        return GSLBCTL_USAGE;
    }
    simulate.name = call->args[0];
    simulate.what_if = call->what_if;
    simulate.n_what_if = call->n_what_if;
    request.action_case = GSLB__REQUEST__ACTION_SIMULATE;
    request.simulate = &simulate;
    return ask_and_show(call, &request);
}

static enum gslbctl_exit run_simulate(struct call *call)
{
    struct text clients = {0};
    enum gslbctl_exit news = GSLBCTL_USAGE;
    struct arena arena;

    arena_init(&arena, 0);
    if (call->n_args < 2 || read_file(call->args[1], &clients))
        news = ask_simulate(call, &arena, (struct str){clients.p, clients.n});
    text_free(&clients);
    arena_free(&arena);
    return news;
}

static enum gslbctl_exit ask_drain(struct call *call, bool is_on)
{
    Gslb__DrainRequest drain = GSLB__DRAIN_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    drain.edge = call->args[0];
    drain.is_on = is_on;
    drain.reason = frame_borrow(call->reason);
    if (is_on && call->lifetime != NULL && !lifetime_read(call->lifetime, &drain.lifetime_s)) {
        fprintf(stderr, "gslbctl: --for takes a time such as 30m, 2h or 1d, not '%s'\n",
                call->lifetime);
        return GSLBCTL_USAGE;
    }
    request.action_case = GSLB__REQUEST__ACTION_DRAIN;
    request.drain = &drain;
    return ask_for_text(call, &request, ANSWER_MS);
}

static enum gslbctl_exit run_drain(struct call *call)
{
    return ask_drain(call, true);
}

static enum gslbctl_exit run_undrain(struct call *call)
{
    return ask_drain(call, false);
}

static enum gslbctl_exit run_reload(struct call *call)
{
    Gslb__ReloadRequest reload = GSLB__RELOAD_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    request.action_case = GSLB__REQUEST__ACTION_RELOAD;
    reload.zones = call->args;
    reload.n_zones = (size_t)call->n_args;
    request.reload = &reload;
    return ask_for_text(call, &request, RELOAD_MS);
}

static enum gslbctl_exit run_refresh(struct call *call)
{
    Gslb__RefreshRequest refresh = GSLB__REFRESH_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    refresh.zone = call->args[0];
    refresh.is_full = (call->options & OPTION_FULL) != 0;
    request.action_case = GSLB__REQUEST__ACTION_REFRESH;
    request.refresh = &refresh;
    return ask_for_text(call, &request, ANSWER_MS);
}

static enum gslbctl_exit run_keys(struct call *call)
{
    Gslb__StatusRequest status = GSLB__STATUS_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    const char *zone = call->n_args > 0 ? call->args[0] : NULL;
    struct text error = {0}, shown = {0}, json = {0};
    struct arena arena = {0};
    const Gslb__Reply *reply;
    enum gslbctl_exit news;

    request.action_case = GSLB__REQUEST__ACTION_STATUS;
    request.status = &status;
    reply = asker_ask(call->asker, &request, ANSWER_MS, &arena, &error);
    if (reply == NULL)
        return unreachable(&error);
    if (reply->body_case != GSLB__REPLY__BODY_STATUS) {
        fputs("gslbctl: only gslb-dns has keys of zones\n", stderr);
        arena_free(&arena);
        return GSLBCTL_BAD_NEWS;
    }
    news = keys_show(reply->status, zone, &call->view, &shown);
    json_of_keys(reply->status, zone, &json);
    print((call->options & OPTION_JSON) != 0 ? &json : &shown);
    text_free(&shown);
    text_free(&json);
    arena_free(&arena);
    return news;
}

static enum gslbctl_exit run_roll(struct call *call)
{
    Gslb__RollRequest roll = GSLB__ROLL_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    bool is_abort = (call->options & OPTION_ABORT) != 0;

    if (is_abort == (call->n_args == 2)) {
        fputs("gslbctl: roll takes zsk, ksk, csk or algorithm, or else --abort\n", stderr);
        return GSLBCTL_USAGE;
    }
    roll.zone = call->args[0];
    roll.kind = frame_borrow(is_abort ? NULL : call->args[1]);
    roll.algorithm = frame_borrow(call->algorithm);
    roll.is_abort = is_abort;
    request.action_case = GSLB__REQUEST__ACTION_ROLL;
    request.roll = &roll;
    return ask_for_text(call, &request, ANSWER_MS);
}

static enum gslbctl_exit run_ds_seen(struct call *call)
{
    Gslb__DsSeenRequest seen = GSLB__DS_SEEN_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    uint64_t tag;

    if (!text_parse_u64(str_of(call->args[1]), &tag) || tag > UINT16_MAX) {
        fprintf(stderr, "gslbctl: '%s' is no key tag; gslbctl keys shows them\n", call->args[1]);
        return GSLBCTL_USAGE;
    }
    seen.zone = call->args[0];
    seen.tag = (uint32_t)tag;
    request.action_case = GSLB__REQUEST__ACTION_DS_SEEN;
    request.ds_seen = &seen;
    return ask_for_text(call, &request, ANSWER_MS);
}

static enum gslbctl_exit run_metrics(struct call *call)
{
    Gslb__MetricsRequest metrics = GSLB__METRICS_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    request.action_case = GSLB__REQUEST__ACTION_METRICS;
    request.metrics = &metrics;
    return ask_for_text(call, &request, ANSWER_MS);
}

static enum gslbctl_exit run_acme(struct call *call)
{
    Gslb__AcmeRequest acme = GSLB__ACME_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;

    if (!acme_read(call->args, call->n_args, call->lifetime, &acme)) {
        fputs("usage: gslbctl acme-dns-01 add NAME TEXT [--lifetime 10m] | remove NAME [TEXT] | "
              "list\n",
              stderr);
        return GSLBCTL_USAGE;
    }
    request.action_case = GSLB__REQUEST__ACTION_ACME;
    request.acme = &acme;
    return ask_for_text(call, &request, ANSWER_MS);
}

static enum gslbctl_exit run_purge(struct call *call)
{
    Gslb__PurgeRequest purge = GSLB__PURGE_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    enum gslbctl_exit news = GSLBCTL_USAGE;
    struct arena arena;

    arena_init(&arena, 0);
    request.action_case = GSLB__REQUEST__ACTION_PURGE;
    request.purge = &purge;
    if (purge_read_request(&arena, call->args, call->n_args, (call->options & OPTION_SOFT) != 0,
                           &purge))
        news = ask_for_text(call, &request, ANSWER_MS);
    else
        fputs("usage: gslbctl purge url|prefix|host|tag WHAT... [--soft] | all [--soft]\n", stderr);
    arena_free(&arena);
    return news;
}

static const struct command commands[] = {
    {"status", "[--json] [--watch]", 0, OPTION_JSON | OPTION_WATCH, run_status,
     "regions and edges: state, load, requests, cache, origins",
     "  --json    one JSON object: node, software, uptime_ms, loaded_at_s, load_error,\n"
     "            is_self_suspect, geo, regions[name, latitude, longitude, usable_edges,\n"
     "            edges[name, state, since_ms, reason, is_usable, is_kept, is_connected,\n"
     "            requests_per_s, cache_hit_ratio, addresses, remote, software, report_age_ms,\n"
     "            report]], services[], zones[]; what is not known is null\n"
     "  --watch   once a second, in place, until Ctrl-C\n\n"
     "Asked of an edge's own socket it shows what that edge reports.\n"
     "Exit code 1: a region has no usable edge (an edge: cannot serve).\n",
     0},
    {"explain", "NAME CLIENT-IP [--what-if STATE] [--json]", 2, OPTION_JSON | OPTION_WHAT_IF,
     run_explain, "which answer a client gets for a service, and why",
     "  --what-if down=NAME   as if that region or edge were down (up=NAME: up); may be repeated\n"
     "  --json    one JSON object: name, asked, policy, client, location, addresses, ttl_s,\n"
     "            scope_bits, scope_prefix, chosen, verdict, steps[], regions[name, distance_km, "
     "is_usable, "
     "verdict]\n\n"
     "Exit code 1: the client gets no address, or there is no such service.\n",
     0},
    {"simulate", "NAME [FILE] [--what-if STATE] [--json]", 2, OPTION_JSON | OPTION_WHAT_IF,
     run_simulate, "which share of clients each region gets, and from how far",
     "  FILE                  clients, one a line: address or prefix, and a weight (1); - is the\n"
     "                        standard input. At most 5000. Without it: an address of each IPv4\n"
     "                        /16 that the database knows\n"
     "  --what-if down=NAME   and as if that region or edge were down (up=NAME: up); may be\n"
     "                        repeated\n"
     "  --json    one JSON object: name, n_clients, n_unlocated, moved, km, then_km,\n"
     "            shares[region, share, km, then_share, then_km]; what is not known is null\n",
     1},
    {"drain", "EDGE [--reason TEXT] [--for TIME]", 1, OPTION_REASON | OPTION_FOR, run_drain,
     "take an edge out of the answers; it finishes what it has",
     "  --reason TEXT   shown in status and kept with the drain\n"
     "  --for TIME      it ends by itself then: 30m, 2h, 1d; of nodes alone\n\n"
     "A drain given to a node lasts over restarts of both sides until undrain, or its end.\n"
     "Exit code 1: no such edge.\n",
     0},
    {"undrain", "EDGE", 1, 0, run_undrain, "let an edge back into the answers",
     "The edge is back at once when it reported well meanwhile.\n"
     "Exit code 1: no such edge.\n",
     0},
    {"reload", "[ZONE...]", ANY_NUMBER, 0, run_reload,
     "read the configuration, or some zones, again",
     "Without ZONE the configuration and all zones whose files have changed are read; with it\n"
     "these zones and nothing else, whether their files have changed or not.\n"
     "Nothing changes when the configuration is refused: the mistakes are printed, each with\n"
     "file:line:column. A zone that is broken keeps its running version, and the rest is taken.\n"
     "Exit code 1: refused, or a zone is broken.\n",
     0},
    {"refresh", "ZONE [--full]", 1, OPTION_FULL, run_refresh,
     "ask a zone's primaries whether they have a newer version",
     "  --full   transfer all of it (AXFR), whatever its serial\n\n"
     "It does not wait for them: status tells what became of it.\n"
     "Exit code 1: no such zone, or it has no primaries.\n",
     0},
    {"keys", "[ZONE] [--json]", 1, OPTION_JSON, run_keys,
     "the keys of signed zones, and what is to be done about them",
     "  --json    one JSON object: zones[name, keys[tag, role, algorithm, state, since_s, next,\n"
     "            next_s, wants_ds, ds]]\n\n"
     "Exit code 1: no such zone is signed here.\n",
     1},
    {"roll", "ZONE [WHAT] [--abort]", 2, OPTION_ALGORITHM | OPTION_ABORT, run_roll,
     "replace keys: WHAT is zsk, ksk, csk or algorithm",
     "  --algorithm NAME   for algorithm: the new one, ECDSAP256SHA256 unless given\n"
     "  --abort            back to the keys before, as long as that is safe\n\n"
     "The steps follow by themselves, but for the parent's DS: gslbctl keys says when to replace "
     "it,\ngslbctl ds-seen that it was. Exit code 1: refused.\n",
     1},
    {"ds-seen", "ZONE TAG", 2, 0, run_ds_seen,
     "the parent has the DS of this key: go on with the roll-over",
     "Ask all servers of the parent zone first: dig +short DS ZONE @SERVER.\n"
     "Exit code 1: refused, it is too early for instance.\n",
     0},
    {"acme-dns-01", "ACTION [NAME [TEXT]] [--lifetime TIME]", ANY_NUMBER, OPTION_LIFETIME, run_acme,
     "answer a CA's dns-01 challenge on all nodes",
     "  add NAME TEXT      TXT record TEXT at _acme-challenge.NAME, or where a CNAME leads from "
     "there\n"
     "  remove NAME [TEXT] takes it away, or all of NAME's\n"
     "  list               shows those under way\n"
     "  --lifetime TIME    10s to 1d; it goes by itself then (10m)\n\n"
     "Exit code 1: refused, or another node has not confirmed it.\n",
     0},
    {"purge", "url|prefix|host|tag|all [WHAT...] [--soft]", ANY_NUMBER, OPTION_SOFT, run_purge,
     "have caches forget responses",
     "  url URL            all variants of it, by http and https: www.example.com/a?b\n"
     "  prefix URL         all whose URL begins so: www.example.com/news/\n"
     "  host HOST          all of a host\n"
     "  tag TAG            all that the origin marked by it in Surrogate-Key or Cache-Tag\n"
     "  all                everything\n"
     "  --soft             they become stale rather than gone: validated, or served while they\n"
     "                     are refreshed or the origin fails, where they allow it\n\n"
     "Asked of a node, all its edges do so, and are told in the order of the commands; asked at "
     "an\n"
     "edge's socket, that edge alone. At most 128 at once. Exit code 1: refused, or not all edges\n"
     "have done it (those that are away do when they come back).\n",
     0},
    {"metrics", "", 0, 0, run_metrics, "all counters, as Prometheus text", "", 0},
};

static void print_usage(FILE *out)
{
    fputs("usage: gslbctl [OPTIONS] COMMAND\n\ncommands:\n", out);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(out, "  %-11s %-26s %s\n", commands[i].name, commands[i].args, commands[i].summary);
    fputs("\noptions:\n"
          "  -s, --socket SOCKET      the local socket of a node or an edge\n"
          "                           (default: GSLBCTL_SOCKET, else " GSLBCTL_DEFAULT_SOCKET ")\n"
          "  -S, --server HOST:PORT   a node elsewhere, over TLS (GSLBCTL_SERVER), with\n"
          "      --certificate FILE   an operator certificate (GSLBCTL_CERTIFICATE),\n"
          "      --key FILE           its key (GSLBCTL_KEY) and\n"
          "      --ca FILE            the CA of the channel (GSLBCTL_CA)\n"
          "  -h, --help               print this; gslbctl COMMAND --help tells more\n"
          "  -V, --version            print the version\n\n"
          "exit code: 0 fine, 1 bad news or refused, 2 wrong usage, 3 nobody answers\n",
          out);
}

static void print_help(const struct command *c)
{
    printf("usage: gslbctl [OPTIONS] %s%s%s\n\n%s\n", c->name, c->args[0] ? " " : "", c->args,
           c->summary);
    if (c->help[0] != '\0')
        printf("\n%s", c->help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void say_unknown(const char *name)
{
    const char *nearest = NULL;
    unsigned best = 3;

    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        unsigned d = text_distance(str_of(name), str_of(commands[i].name));

        if (d < best) {
            best = d;
            nearest = commands[i].name;
        }
    }
    fprintf(stderr, "gslbctl: no command '%s'", name);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs("\nTry gslbctl --help.\n", stderr);
}

static const struct {
    const char *name;
    unsigned option;
} option_names[] = {{"--json", OPTION_JSON},     {"--watch", OPTION_WATCH},
                    {"--reason", OPTION_REASON}, {"--algorithm", OPTION_ALGORITHM},
                    {"--abort", OPTION_ABORT},   {"--lifetime", OPTION_LIFETIME},
                    {"--full", OPTION_FULL},     {"--what-if", OPTION_WHAT_IF},
                    {"--for", OPTION_FOR}};

static bool is_usage_right(const struct call *call, const struct command *c)
{
    for (size_t i = 0; i < COUNT_OF(option_names); i++)
        if ((call->options & option_names[i].option & ~c->options) != 0) {
            fprintf(stderr, "gslbctl: %s takes no %s\n", c->name, option_names[i].name);
            return false;
        }
    if (c->n_args == ANY_NUMBER ||
        (call->n_args <= c->n_args && call->n_args >= c->n_args - c->n_optional))
        return true;
    fprintf(stderr, "usage: gslbctl %s%s%s\n", c->name, c->args[0] ? " " : "", c->args);
    return false;
}

static bool is_target_right(const struct target *t)
{
    if (t->server == NULL ||
        (t->certificate_path != NULL && t->key_path != NULL && t->ca_path != NULL))
        return true;
    fputs("gslbctl: -S needs --certificate, --key and --ca (or GSLBCTL_CERTIFICATE, GSLBCTL_KEY "
          "and GSLBCTL_CA)\n",
          stderr);
    return false;
}

static struct view find_view(void)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    struct view view = {.is_terminal = isatty(STDOUT_FILENO)};
    struct winsize size;

    view.has_colour = view.is_terminal && (no_colour == NULL || no_colour[0] == '\0') &&
                      term != NULL && strcmp(term, "dumb") != 0;
    if (view.is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        view.columns = size.ws_col;
    return view;
}

int main(int argc, char **argv)
{
    struct call call = arguments_read(argc, argv);
    const struct command *command;
    enum gslbctl_exit result;

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* what we print is UTF-8, and wcwidth must know it */
    signal(SIGPIPE, SIG_IGN);
    if (call.n_args == 0) {
        print_usage(call.wants_help ? stdout : stderr);
        return call.wants_help ? GSLBCTL_FINE : GSLBCTL_USAGE;
    }
    command = find_command(call.args[0]);
    if (command == NULL) {
        say_unknown(call.args[0]);
        return GSLBCTL_USAGE;
    }
    if (call.wants_help) {
        print_help(command);
        return GSLBCTL_FINE;
    }
    call.args++;
    call.n_args--;
    if (!is_usage_right(&call, command) || !is_target_right(&call.target))
        return GSLBCTL_USAGE;
    call.view = find_view();
    call.asker = asker_new(&call.target);
    result = command->run(&call);
    asker_free(call.asker);
    return result;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The coordinator: which interfaces are attached, and how one set of them becomes another. */
#include "gslb-dns/xdp/xdp_internal.h"

#include "common/log/log.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>

enum { MTU_LEAST = 576 }; /* an answer of WIRE_UDP_MIN bytes with its headers */

static const struct metrics_counter COUNTERS[XDP_COUNTER_COUNT] = {
#define X(name, metric, help) [XDP_COUNTER_##name] = {metric, help},
    XDP_COUNTERS(X)
#undef X
};

struct port { /* one interface that is attached */
    char *name;
    enum config_xdp_mode wanted;
    uint32_t wanted_queues;
    unsigned ifindex;
    uint32_t mtu;
    bool is_generic;
    struct program program;
    struct queue **queues;
    unsigned n_queues;
};

struct xdp {
    struct net_handler handler;
    struct metrics *answers;
    struct metrics counters;
    struct port *ports;
    size_t n_ports;
    uint64_t passed, kernel_drops; /* of ports that are gone */
};

static const char *explain(int error)
{
    switch (-error) {
    case EPERM:
    case EACCES:
        return "not permitted: it takes CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF";
    case EBUSY:
        return "another XDP program or another instance holds the interface";
    case ENOBUFS:
    case ENOMEM:
        return "too little locked memory: raise LimitMEMLOCK";
    case EOPNOTSUPP:
        return "the driver cannot";
    case ENODEV:
    case ENXIO:
        return "there is no such interface";
    default:
        return strerror(-error);
    }
}

static void close_port(struct xdp *x, struct port *p)
{
    /* First back to the kernel, then the rest is answered. */
    if (p->program.link >= 0)
        x->passed += program_passed(&p->program);
    for (unsigned i = 0; i < p->n_queues; i++)
        x->kernel_drops += queue_kernel_drops(p->queues[i]);
    program_unload(&p->program);
    for (unsigned i = 0; i < p->n_queues; i++)
        queue_close(p->queues[i]);
    free(p->queues);
    free(p->name);
}

/* Queues, program, attachment: in this order, so that no frame goes where nobody reads. */
static int try_mode(struct xdp *x, struct port *p, unsigned n_queues, bool is_generic,
                    const char **what)
{
    int error = program_load(&p->program, n_queues, what);

    p->queues = base_zalloc(n_queues, sizeof(struct queue *));
    for (unsigned i = 0; i < n_queues && error == 0; i++) {
        struct queue_settings s = {.interface = p->name,
                                   .number = i,
                                   .mtu = p->mtu,
                                   .is_generic = is_generic,
                                   .handler = &x->handler,
                                   .answers = x->answers,
                                   .counters = &x->counters};

        p->queues[i] = queue_open(&s, &error, what);
        if (p->queues[i] == NULL)
            break;
        p->n_queues++;
        queue_start(p->queues[i]);
        error = program_set_socket(&p->program, i, queue_fd(p->queues[i]));
    }
    if (error != 0)
        return error;
    *what = is_generic ? "generic mode" : "native mode";
    return program_attach(&p->program, p->ifindex,
                          is_generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
}

static void reset_port(struct xdp *x, struct port *p)
{
    struct port fresh = {.wanted = p->wanted,
                         .wanted_queues = p->wanted_queues,
                         .name = base_strdup(p->name),
                         .ifindex = p->ifindex,
                         .mtu = p->mtu};

    close_port(x, p);
    *p = fresh;
    p->program = (struct program){.code = -1, .keys = -1, .sockets = -1, .passed = -1, .link = -1};
}

static bool is_link_fit(const struct link *l)
{
    return l->mtu >= MTU_LEAST && !(l->strips_vlan && l->n_vlans > 1);
}

static void warn_unfit(const struct config_xdp *c, const struct link *l, struct errors *errors)
{
    if (l->mtu < MTU_LEAST)
        errors_warn(errors, c->place, "xdp: %s has an MTU of %u, too little for it: sockets serve",
                    c->interface, l->mtu);
    else
        errors_warn(errors, c->place,
                    "xdp: %s has VLANs, whose tags it takes off: sockets serve. "
                    "Run 'ethtool -K %s rxvlan off'",
                    c->interface, c->interface);
}

static struct outcome open_port(struct xdp *x, struct port *p, const struct config_xdp *c,
                                const struct link *l, struct errors *errors)
{
    unsigned n = c->queues > 0 && c->queues < l->n_queues ? c->queues : l->n_queues;
    bool is_generic = c->mode == CONFIG_XDP_GENERIC;
    const char *what = "";
    int error;

    *p = (struct port){.name = base_strdup(c->interface),
                       .wanted = c->mode,
                       .wanted_queues = c->queues,
                       .ifindex = l->index,
                       .mtu = l->mtu};
    error = try_mode(x, p, n, is_generic, &what);
    if (error != 0 && error != -EBUSY && error != -EPERM && c->mode == CONFIG_XDP_AUTO) {
        is_generic = true;
        reset_port(x, p);
        error = try_mode(x, p, n, true, &what);
    }
    if (error != 0) {
        errors_warn(errors, c->place, "xdp: %s: %s: %s; sockets serve", c->interface, what,
                    explain(error));
        close_port(x, p);
        return OUTCOME_FAILED;
    }
    p->is_generic = is_generic;
    log_info("xdp", "attached interface=%s mode=%s queues=%u zero_copy=%s", p->name,
             is_generic ? "generic" : "native", n, queue_is_zero_copy(p->queues[0]) ? "yes" : "no");
    return OUTCOME_OK;
}

/* ---- addresses ---- */

struct keys {
    struct program_key *items;
    size_t n, cap;
};

static void add_keys(struct keys *k, const struct link *l, const struct ip *ip, uint16_t port)
{
    for (size_t v = 0; v < l->n_vlans && k->n < PROGRAM_KEYS; v++) {
        struct program_key key = {.vlan = htons(l->vlans[v].id), .port = htons(port)};

        memcpy(key.mac, l->vlans[v].mac, sizeof(key.mac));
        if (ip->family == 4) {
            memset(key.address + 10, 0xff, 2);
            memcpy(key.address + 12, ip->bytes, 4);
        } else {
            memcpy(key.address, ip->bytes, 16);
        }
        BASE_GROW(k->items, k->n, k->cap);
        k->items[k->n++] = key;
    }
}

/* A wildcard means this host's addresses: other hosts' packets may be passing through. */
static void set_addresses(struct port *p, const struct link *l, const struct xdp_settings *s)
{
    struct keys k = {0};
    size_t n_host;
    struct ip *host = link_host_addresses(&n_host);

    for (size_t i = 0; i < s->n_listen; i++) {
        struct ip ip = addr_ip(&s->listen[i]);
        uint16_t port = addr_port(&s->listen[i]);

        if (!addr_is_wildcard(&s->listen[i])) {
            add_keys(&k, l, &ip, port);
            continue;
        }
        for (size_t h = 0; h < n_host; h++) {
            if (host[h].family == ip.family)
                add_keys(&k, l, &host[h], port);
        }
    }
    free(host);
    (void)program_set_keys(&p->program, k.items, k.n); /* what has no room goes by the sockets */
}

/* ---- the set ---- */

static const struct port *find_port(const struct port *ports, size_t n, const struct config_xdp *c,
                                    const struct link *l)
{
    for (size_t i = 0; i < n; i++) {
        const struct port *p = &ports[i];

        if (p->name != NULL && strcmp(p->name, c->interface) == 0 && p->wanted == c->mode &&
            p->wanted_queues == c->queues && p->ifindex == l->index && p->mtu == l->mtu &&
            program_is_attached(&p->program))
            return p;
    }
    return NULL;
}

static bool is_wanted(const struct port *p, const struct xdp_settings *s)
{
    for (size_t i = 0; i < s->n_interfaces; i++) {
        struct link l;
        bool is_same;

        if (s->interfaces[i].mode == CONFIG_XDP_OFF ||
            link_read(s->interfaces[i].interface, &l) != 0)
            continue;
        is_same = find_port(p, 1, &s->interfaces[i], &l) != NULL && is_link_fit(&l);
        link_free(&l);
        if (is_same)
            return true;
    }
    return false;
}

static void close_unwanted(struct xdp *x, const struct xdp_settings *s)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n_ports; i++) {
        if (is_wanted(&x->ports[i], s)) {
            x->ports[n++] = x->ports[i];
            continue;
        }
        log_info("xdp", "detached interface=%s", x->ports[i].name);
        close_port(x, &x->ports[i]);
    }
    x->n_ports = n;
}

static void update_interface(struct xdp *x, const struct config_xdp *c,
                             const struct xdp_settings *s, struct errors *errors)
{
    struct link l;
    int error = link_read(c->interface, &l);
    struct port *p;

    if (error != 0) {
        errors_warn(errors, c->place, "xdp: %s: %s; sockets serve", c->interface, explain(error));
        return;
    }
    p = (struct port *)find_port(x->ports, x->n_ports, c, &l);
    if (!is_link_fit(&l)) {
        warn_unfit(c, &l, errors);
    } else if (p == NULL) {
        x->ports = base_realloc(x->ports, (x->n_ports + 1) * sizeof(*x->ports));
        p = &x->ports[x->n_ports];
        if (has_failed(open_port(x, p, c, &l, errors)))
            p = NULL;
        else
            x->n_ports++;
    }
    if (p != NULL)
        set_addresses(p, &l, s);
    link_free(&l);
}

struct xdp *xdp_new(const struct net_handler *handler, struct metrics *answers)
{
    struct xdp *x = base_zalloc(1, sizeof(*x));

    x->handler = *handler;
    x->answers = answers;
    x->counters = (struct metrics){.table = COUNTERS, .n = XDP_COUNTER_COUNT};
    return x;
}

void xdp_update(struct xdp *x, const struct xdp_settings *settings, struct errors *errors)
{
    close_unwanted(x, settings);
    for (size_t i = 0; i < settings->n_interfaces; i++) {
        if (settings->interfaces[i].mode != CONFIG_XDP_OFF)
            update_interface(x, &settings->interfaces[i], settings, errors);
    }
}

void xdp_free(struct xdp *x)
{
    for (size_t i = 0; i < x->n_ports; i++)
        close_port(x, &x->ports[i]);
    free(x->ports);
    metrics_free(&x->counters);
    free(x);
}

/* 0: it was, and the interface has gone since or somebody else has taken the program off. */
static void write_attached(const struct xdp *x, struct text *out)
{
    metrics_write_head(out, "gslb_dns_xdp_attached", "gauge", "Interfaces that XDP answers on.");
    for (size_t i = 0; i < x->n_ports; i++)
        text_addf(out, "gslb_dns_xdp_attached{interface=\"%s\",mode=\"%s\"} %d\n", x->ports[i].name,
                  x->ports[i].is_generic ? "generic" : "native",
                  program_is_attached(&x->ports[i].program));
}

void xdp_write_metrics(const struct xdp *x, struct text *out)
{
    uint64_t passed = x->passed, drops = x->kernel_drops;

    for (size_t i = 0; i < x->n_ports; i++) {
        passed += program_passed(&x->ports[i].program);
        for (unsigned q = 0; q < x->ports[i].n_queues; q++)
            drops += queue_kernel_drops(x->ports[i].queues[q]);
    }
    metrics_write(&x->counters, out);
    text_addf(out, "gslb_dns_xdp_dropped_total{reason=\"receive_queue_full\"} %" PRIu64 "\n",
              drops);
    metrics_write_head(out, "gslb_dns_xdp_passed_total", "counter", "Frames left to the kernel.");
    text_addf(out, "gslb_dns_xdp_passed_total %" PRIu64 "\n", passed);
    write_attached(x, out);
}

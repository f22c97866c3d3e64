/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "gslb-dns/main/node_internal.h"

#include <stdlib.h>
#include <string.h>

/* "serves its version 7" or "is answered SERVFAIL". */
static const char *say_state(const struct zone *z, char buf[TEXT_SHORT])
{
    if (!zone_is_available(z))
        return "has no version to serve and is answered SERVFAIL";
    snprintf(buf, TEXT_SHORT, "keeps serial %u", z->serial);
    return buf;
}

void faults_log(const struct generation *g)
{
    const struct config *c = generation_config(g);
    char buf[TEXT_SHORT];

    for (size_t i = 0; i < c->n_zones; i++) {
        const struct errors *fault = generation_zone_fault(g, i);

        if (fault == NULL || !generation_is_zone_read(g, i))
            continue;
        node_log_errors(fault);
        log_error("zone", "zone is broken and %s zone=%s errors=%zu",
                  say_state(generation_zone(g, i), buf), c->zones[i].name, fault->n_errors);
    }
}

void faults_describe(const struct generation *g, struct text *out)
{
    const struct config *c = generation_config(g);
    char buf[TEXT_SHORT];

    for (size_t i = 0; i < c->n_zones; i++) {
        const struct errors *fault = generation_zone_fault(g, i);
        char *words;

        if (fault == NULL || !generation_is_zone_read(g, i))
            continue;
        words = errors_to_string(fault);
        text_addf(out, "zone %s is broken and %s:\n%s", c->zones[i].name,
                  say_state(generation_zone(g, i), buf), words);
        free(words);
    }
}

const char *faults_of_zone(const struct generation *g, size_t zone, struct arena *arena)
{
    const struct errors *fault = generation_zone_fault(g, zone);

    for (size_t i = 0; fault != NULL && i < fault->n; i++) {
        const struct error *e = &fault->items[i];
        const char *copy;
        char *said;

        if (e->is_warning)
            continue;
        said = e->line > 0       ? base_printf("%s:%u: %s", e->file, e->line, e->message)
               : e->file != NULL ? base_printf("%s: %s", e->file, e->message)
                                 : base_strdup(e->message);
        copy = arena_strndup(arena, said, strlen(said));
        free(said);
        return copy;
    }
    return NULL;
}

void faults_write_metrics(const struct generation *g, struct text *out)
{
    const struct config *c = generation_config(g);

    metrics_write_head(out, "gslb_dns_zone_broken", "gauge",
                       "1 while the newest version of the zone's file is not served.");
    for (size_t i = 0; i < c->n_zones; i++)
        text_addf(out, "gslb_dns_zone_broken{zone=\"%s\"} %d\n", c->zones[i].name,
                  generation_zone_fault(g, i) != NULL);
    metrics_write_head(out, "gslb_dns_zone_available", "gauge",
                       "0 while the zone is answered SERVFAIL.");
    for (size_t i = 0; i < c->n_zones; i++)
        text_addf(out, "gslb_dns_zone_available{zone=\"%s\"} %d\n", c->zones[i].name,
                  zone_is_available(generation_zone(g, i)));
}

void node_log_errors(const struct errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        const struct error *e = &errors->items[i];
        enum log_level level = e->is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;

        if (e->file != NULL && e->column > 0)
            log_line(level, "config", "%s:%u:%u: %s", e->file, e->line, e->column, e->message);
        else if (e->file != NULL && e->line > 0)
            log_line(level, "config", "%s:%u: %s", e->file, e->line, e->message);
        else if (e->file != NULL)
            log_line(level, "config", "%s: %s", e->file, e->message);
        else
            log_line(level, "config", "%s", e->message);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of signed answers: a world of one zone, and questions to it. */
#ifndef TESTS_ANSWER_SERVED_H
#define TESTS_ANSWER_SERVED_H

#include "common/bytes/bytes.h"
#include "gslb-dns/answer/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct served {
    struct zone *zone;
    struct zone_set *set;
    struct world world;
    struct snapshot_slot slot;
    struct metrics metrics;
    struct answer_context *context;
    struct errors errors;
};

/* from: all but the path. */
static inline void served_open(struct served *s, const char *text, const struct zone_source *from)
{
    struct zone_source source = *from;
    int fd = memfd_create("zone", MFD_CLOEXEC);
    char path[64];

    *s = (struct served){.zone = NULL};
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    source.path = path;
    s->zone = zone_load(&source, &s->errors);
    close(fd);
    if (s->zone == NULL)
        errors_print(&s->errors, stderr);
    assert_non_null(s->zone);
    s->set = zone_set_new(&s->zone, 1);
    s->world = (struct world){.zones = s->set, .udp_payload_bytes = 1232};
    s->slot.current = &s->world;
    s->metrics = (struct metrics){.table = answer_counter_table, .n = ANSWER_COUNTER_COUNT};
    s->context = answer_context_new(&s->slot, metrics_add_block(&s->metrics));
}

static inline void served_close(struct served *s)
{
    answer_context_free(s->context);
    metrics_free(&s->metrics);
    zone_set_free(s->set);
    zone_release(s->zone);
    errors_free(&s->errors);
}

/* Questions have DO set, and come by UDP with room for 4096 bytes, but for these. */
enum { PLAIN = 1, SMALL = 2, CO = 4, TCP = 8 };

static inline size_t served_ask_name(struct served *s, const struct wire_name *qname, uint16_t type,
                                     unsigned how, uint8_t out[WIRE_TCP_MAX])
{
    struct addr source = addr_of_ip(&(struct ip){.family = 4, .bytes = {192, 0, 2, 1}}, 53);
    uint8_t packet[512];
    struct writer w = writer_of(packet, sizeof(packet));
    struct answer_query io = {.packet = packet,
                              .transport = how & TCP ? ANSWER_TCP : ANSWER_UDP,
                              .source = &source,
                              .out = out,
                              .out_cap_bytes = WIRE_TCP_MAX};

    writer_add(&w, "\x12\x34\0\0\0\1\0\0\0\0\0\1", 12);
    writer_add(&w, qname->bytes, qname->length);
    writer_u16(&w, type);
    writer_u16(&w, WIRE_CLASS_IN);
    writer_u8(&w, 0);
    writer_u16(&w, WIRE_OPT);
    writer_u16(&w, how & SMALL ? 512 : 4096);
    writer_u32(&w, (how & PLAIN ? 0 : 0x8000) | (how & CO ? 0x4000 : 0));
    writer_u16(&w, 0);
    io.packet_bytes = (uint32_t)(w.p - packet);
    answer_batch(s->context, &io, 1);
    return io.out_bytes;
}

static inline size_t served_ask(struct served *s, const char *name, uint16_t type, unsigned how,
                                uint8_t out[WIRE_TCP_MAX])
{
    struct wire_name qname;

    assert_true(wire_name_parse(str_of(name), &qname));
    return served_ask_name(s, &qname, type, how, out);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The program in the kernel, run by the kernel over single frames: what it takes and what it leaves
 * is seen by the count of what it left. Skipped where it may not be loaded. */
#include "gslb-dns/xdp/xdp_internal.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>

enum { FRAME_BYTES = 100, VLAN = 5, PORT = 53, FIRST = 0x100 };

static const uint8_t MAC[6] = {2, 0, 0, 0, 0, 1}, VLAN_MAC[6] = {2, 0, 0, 0, 0, 5};
static const uint8_t IPV4[4] = {10, 77, 0, 1};
static const uint8_t IPV6[16] = {0xfd, 0x77, [15] = 1};

struct shape {
    bool is_ipv6;
    uint8_t tags;
    uint16_t vlan;
};

struct program_case {
    const char *name;
    struct shape shape;
    int at; /* from where the IP header begins, this byte is another; FIRST: the first; 0: none */
    uint8_t value;
    uint32_t bytes; /* of the frame; 0: all */
    bool is_taken;
};

static const struct program_case CASES[] = {
    {.name = "IPv4", .is_taken = true},
    {.name = "IPv6", .shape = {.is_ipv6 = true}, .is_taken = true},
    {.name = "IPv4, our VLAN", .shape = {.tags = 1, .vlan = VLAN}, .is_taken = true},
    {.name = "IPv6, our VLAN", .shape = {true, 1, VLAN}, .is_taken = true},
    {.name = "VLAN with a priority", .shape = {.tags = 1, .vlan = 0xe000 | VLAN}, .is_taken = true},
    {.name = "another VLAN", .shape = {.tags = 1, .vlan = 6}},
    {.name = "two tags", .shape = {.tags = 2, .vlan = VLAN}},
    {.name = "another Ethernet address", .at = -14, .value = 4},
    {.name = "ARP", .at = -1, .value = 6},
    {.name = "IPv4 options", .at = FIRST, .value = 0x46},
    {.name = "IPv4, more fragments", .at = 6, .value = 0x20},
    {.name = "IPv4, a later fragment", .at = 7, .value = 1},
    {.name = "IPv4, do not fragment", .at = 6, .value = 0x40, .is_taken = true},
    {.name = "IPv4, TCP", .at = 9, .value = 6},
    {.name = "IPv4, another address", .at = 19, .value = 2},
    {.name = "IPv4, another port", .at = 23, .value = 54},
    {.name = "IPv6, fragment header", .shape = {.is_ipv6 = true}, .at = 6, .value = 44},
    {.name = "IPv6, another address", .shape = {.is_ipv6 = true}, .at = 39, .value = 2},
    {.name = "IPv6, another port", .shape = {.is_ipv6 = true}, .at = 43, .value = 54},
    {.name = "shorter than its headers", .bytes = 41},
    {.name = "its headers alone", .bytes = 42, .is_taken = true},
    {.name = "IPv6, shorter than its headers", .shape = {.is_ipv6 = true}, .bytes = 61},
};

static struct program_key key_for(const uint8_t mac[6], uint16_t vlan, bool is_ipv6)
{
    struct program_key k = {.vlan = htons(vlan), .port = htons(PORT)};

    memcpy(k.mac, mac, sizeof(k.mac));
    memcpy(k.address, IPV6, sizeof(k.address));
    if (!is_ipv6) {
        memset(k.address, 0, 10);
        memset(k.address + 10, 0xff, 2);
        memcpy(k.address + 12, IPV4, 4);
    }
    return k;
}

static void set_keys(struct program *p)
{
    const struct program_key keys[] = {
        key_for(MAC, 0, false),
        key_for(MAC, 0, true),
        key_for(VLAN_MAC, VLAN, false),
        key_for(VLAN_MAC, VLAN, true),
    };
    struct program_key *copy = base_alloc(sizeof(keys));

    memcpy(copy, keys, sizeof(keys));
    assert_int_equal(program_set_keys(p, copy, COUNT_OF(keys)), 0);
}

static void write_frame(uint8_t frame[FRAME_BYTES], const struct program_case *c)
{
    uint8_t *ip = frame + PACKET_ETHER + PACKET_VLAN * c->shape.tags;

    memset(frame, 0, FRAME_BYTES);
    memcpy(frame, c->shape.tags > 0 ? VLAN_MAC : MAC, 6);
    for (int i = 0; i < c->shape.tags; i++) {
        frame[12 + 4 * i] = 0x81;
        frame[14 + 4 * i] = (uint8_t)(c->shape.vlan >> 8);
        frame[15 + 4 * i] = (uint8_t)c->shape.vlan;
    }
    if (c->shape.is_ipv6) {
        ip[-2] = 0x86, ip[-1] = 0xdd, ip[0] = 0x60, ip[6] = IPPROTO_UDP;
        memcpy(ip + 24, IPV6, sizeof(IPV6));
        ip[PACKET_IPV6 + 3] = PORT;
    } else {
        ip[-2] = 0x08, ip[0] = 0x45, ip[9] = IPPROTO_UDP;
        memcpy(ip + 16, IPV4, sizeof(IPV4));
        ip[PACKET_IPV4 + 3] = PORT;
    }
    if (c->at != 0)
        ip[c->at == FIRST ? 0 : c->at] = c->value;
}

static void frames_are_taken_or_left(void **state)
{
    struct program p;
    const char *what;
    int error = program_load(&p, 1, &what);

    if (error != 0) {
        printf("skip: %s: %s\n", what, strerror(-error));
        program_unload(&p);
        skip();
    }
    set_keys(&p);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        uint8_t frame[FRAME_BYTES];
        uint64_t passed = program_passed(&p);
        LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame,
                    .data_size_in = CASES[i].bytes > 0 ? CASES[i].bytes : FRAME_BYTES, .repeat = 1);

        write_frame(frame, &CASES[i]);
        assert_int_equal(bpf_prog_test_run_opts(p.code, &run), 0);
        if ((program_passed(&p) == passed) != CASES[i].is_taken)
            fail_msg("%s: %s", CASES[i].name, CASES[i].is_taken ? "was left" : "was taken");
    }
    program_unload(&p);
}

static void keys_that_go_are_forgotten(void **state)
{
    struct program p;
    const char *what;
    uint8_t frame[FRAME_BYTES];
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = FRAME_BYTES, .repeat = 1);

    if (program_load(&p, 1, &what) != 0) {
        program_unload(&p);
        skip();
    }
    set_keys(&p);
    set_keys(&p); /* the same once more */
    write_frame(frame, &CASES[0]);
    assert_int_equal(bpf_prog_test_run_opts(p.code, &run), 0);
    assert_int_equal(program_passed(&p), 0);
    assert_int_equal(program_set_keys(&p, NULL, 0), 0);
    assert_int_equal(bpf_prog_test_run_opts(p.code, &run), 0);
    assert_int_equal(program_passed(&p), 1);
    program_unload(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_taken_or_left),
        cmocka_unit_test(keys_that_go_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

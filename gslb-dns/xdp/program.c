/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program in the kernel, assembled here: it is so short that a compiler for it would be the
 * larger thing to need. What it does, as C:
 *
 *   key = {dst MAC, VLAN, dst port, dst address}   from a frame without fragments and options
 *   if (lookup(keys, &key))
 *       return redirect(sockets[rx queue], or pass when that queue has none);
 *   passed++;
 *   return XDP_PASS;
 */
#include "gslb-dns/xdp/xdp_internal.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Places that are jumped to, always forward. */
enum label { UNTAGGED, IPV6, LOOK_UP, PASS, LEAVE, N_LABELS };

enum { CODE_MAX = 96, KEY_AT = -(int)sizeof(struct program_key) };
enum { CTX = BPF_REG_6, AT = BPF_REG_7, END = BPF_REG_8, TYPE = BPF_REG_9 };
enum { R0 = BPF_REG_0, R1, R2, R3, STACK = BPF_REG_10 };

struct assembler {
    struct bpf_insn code[CODE_MAX];
    int goes_to[CODE_MAX]; /* a label, or -1 */
    size_t n, places[N_LABELS];
};

static void put(struct assembler *a, uint8_t code, int dst, int src, int off, int32_t imm)
{
    ensure(a->n < CODE_MAX);
    a->goes_to[a->n] = -1;
    a->code[a->n++] = (struct bpf_insn){.code = code,
                                        .dst_reg = (uint8_t)(dst & 15),
                                        .src_reg = (uint8_t)(src & 15),
                                        .off = (int16_t)off,
                                        .imm = imm};
}

static void load(struct assembler *a, uint8_t size, int dst, int src, int off)
{
    put(a, BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}

static void store(struct assembler *a, uint8_t size, int dst, int off, int src)
{
    put(a, BPF_STX | BPF_MEM | size, dst, src, off, 0);
}

static void store_value(struct assembler *a, uint8_t size, int dst, int off, int32_t value)
{
    put(a, BPF_ST | BPF_MEM | size, dst, 0, off, value);
}

static void move(struct assembler *a, int dst, int src)
{
    put(a, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void set(struct assembler *a, int dst, int32_t value)
{
    put(a, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static void add(struct assembler *a, int dst, int32_t value)
{
    put(a, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value);
}

static void mask(struct assembler *a, int dst, int32_t value)
{
    put(a, BPF_ALU64 | BPF_AND | BPF_K, dst, 0, 0, value);
}

/* if (dst OP value) goto to */
static void jump(struct assembler *a, uint8_t op, int dst, int32_t value, enum label to)
{
    put(a, BPF_JMP | op | BPF_K, dst, 0, 0, value);
    a->goes_to[a->n - 1] = to;
}

/* if (AT + bytes > END) goto PASS */
static void need(struct assembler *a, int32_t bytes)
{
    move(a, R1, AT);
    add(a, R1, bytes);
    put(a, BPF_JMP | BPF_JGT | BPF_X, R1, END, 0, 0);
    a->goes_to[a->n - 1] = PASS;
}

static void load_map(struct assembler *a, int dst, int fd)
{
    put(a, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd);
    put(a, 0, 0, 0, 0, 0);
}

static void call(struct assembler *a, int32_t helper)
{
    put(a, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

static void label(struct assembler *a, enum label l)
{
    a->places[l] = a->n;
}

static int key_at(size_t member)
{
    return KEY_AT + (int)member;
}
#define KEY(member) key_at(offsetof(struct program_key, member))

static void read_link(struct assembler *a)
{
    move(a, CTX, R1);
    load(a, BPF_W, AT, CTX, offsetof(struct xdp_md, data));
    load(a, BPF_W, END, CTX, offsetof(struct xdp_md, data_end));
    for (int at = KEY_AT; at < 0; at += 8)
        store_value(a, BPF_DW, STACK, at, 0);
    need(a, PACKET_ETHER + PACKET_VLAN); /* every query is longer */
    for (int i = 0; i < 6; i += 2) {
        load(a, BPF_H, R1, AT, i);
        store(a, BPF_H, STACK, KEY(mac) + i, R1);
    }
    load(a, BPF_H, TYPE, AT, 12);
    jump(a, BPF_JNE, TYPE, htons(0x8100), UNTAGGED);
    load(a, BPF_H, R1, AT, 14);
    mask(a, R1, htons(0x0fff));
    store(a, BPF_H, STACK, KEY(vlan), R1);
    load(a, BPF_H, TYPE, AT, 16);
    add(a, AT, PACKET_VLAN);
    label(a, UNTAGGED);
    add(a, AT, PACKET_ETHER);
}

/* No options, no fragment, UDP. */
static void read_ipv4(struct assembler *a)
{
    need(a, PACKET_IPV4 + PACKET_UDP);
    load(a, BPF_B, R1, AT, 0);
    jump(a, BPF_JNE, R1, 0x45, PASS);
    load(a, BPF_B, R1, AT, 9);
    jump(a, BPF_JNE, R1, IPPROTO_UDP, PASS);
    load(a, BPF_H, R1, AT, 6);
    mask(a, R1, htons(0x3fff));
    jump(a, BPF_JNE, R1, 0, PASS);
    store_value(a, BPF_H, STACK, KEY(address) + 10, 0xffff);
    load(a, BPF_W, R1, AT, 16);
    store(a, BPF_W, STACK, KEY(address) + 12, R1);
    add(a, AT, PACKET_IPV4);
}

/* UDP at once: extension headers, the fragment header too, are the kernel's business. */
static void read_ipv6(struct assembler *a)
{
    need(a, PACKET_IPV6 + PACKET_UDP);
    load(a, BPF_B, R1, AT, 6);
    jump(a, BPF_JNE, R1, IPPROTO_UDP, PASS);
    for (int i = 0; i < 16; i += 4) {
        load(a, BPF_W, R1, AT, 24 + i);
        store(a, BPF_W, STACK, KEY(address) + i, R1);
    }
    add(a, AT, PACKET_IPV6);
}

static void decide(struct assembler *a, const struct program *p)
{
    load(a, BPF_H, R1, AT, 2);
    store(a, BPF_H, STACK, KEY(port), R1);
    load_map(a, R1, p->keys);
    move(a, R2, STACK);
    add(a, R2, KEY_AT);
    call(a, BPF_FUNC_map_lookup_elem);
    jump(a, BPF_JEQ, R0, 0, PASS);
    load_map(a, R1, p->sockets);
    load(a, BPF_W, R2, CTX, offsetof(struct xdp_md, rx_queue_index));
    set(a, R3, XDP_PASS);
    call(a, BPF_FUNC_redirect_map);
    put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void pass(struct assembler *a, const struct program *p)
{
    label(a, PASS);
    store_value(a, BPF_W, STACK, -4, 0);
    load_map(a, R1, p->passed);
    move(a, R2, STACK);
    add(a, R2, -4);
    call(a, BPF_FUNC_map_lookup_elem);
    jump(a, BPF_JEQ, R0, 0, LEAVE);
    load(a, BPF_DW, R1, R0, 0);
    add(a, R1, 1);
    store(a, BPF_DW, R0, 0, R1);
    label(a, LEAVE);
    set(a, R0, XDP_PASS);
    put(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void assemble(struct assembler *a, const struct program *p)
{
    read_link(a);
    jump(a, BPF_JEQ, TYPE, htons(0x86dd), IPV6);
    jump(a, BPF_JNE, TYPE, htons(0x0800), PASS);
    read_ipv4(a);
    put(a, BPF_JMP | BPF_JA, 0, 0, 0, 0);
    a->goes_to[a->n - 1] = LOOK_UP;
    label(a, IPV6);
    read_ipv6(a);
    label(a, LOOK_UP);
    decide(a, p);
    pass(a, p);
    for (size_t i = 0; i < a->n; i++) {
        if (a->goes_to[i] >= 0)
            a->code[i].off = (int16_t)(a->places[a->goes_to[i]] - i - 1);
    }
}

int program_load(struct program *p, unsigned n_queues, const char **what)
{
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    struct assembler a = {0};

    libbpf_set_print(NULL); /* it would write to standard error itself */
    *p = (struct program){.code = -1, .keys = -1, .sockets = -1, .passed = -1, .link = -1};
    p->n_queues = n_queues;
    *what = "the kernel refuses a BPF map";
    p->keys = bpf_map_create(BPF_MAP_TYPE_HASH, "gslb_keys", sizeof(struct program_key), 1,
                             PROGRAM_KEYS, NULL);
    if (p->keys < 0)
        return p->keys;
    p->passed = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "gslb_passed", 4, 8, 1, NULL);
    if (p->passed < 0)
        return p->passed;
    p->sockets = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "gslb_sockets", 4, 4, n_queues, NULL);
    if (p->sockets < 0)
        return p->sockets;
    *what = "the kernel refuses the XDP program";
    assemble(&a, p);
    p->code = bpf_prog_load(BPF_PROG_TYPE_XDP, "gslb_dns", "BSD", a.code, a.n, &options);
    return p->code < 0 ? p->code : 0;
}

int program_attach(struct program *p, unsigned ifindex, uint32_t mode)
{
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = mode);

    p->link = bpf_link_create(p->code, (int)ifindex, BPF_XDP, &options);
    return p->link < 0 ? p->link : 0;
}

bool program_is_attached(const struct program *p)
{
    struct bpf_link_info info = {0};
    uint32_t bytes = sizeof(info);

    return p->link >= 0 && bpf_obj_get_info_by_fd(p->link, &info, &bytes) == 0 &&
           info.xdp.ifindex != 0;
}

int program_set_socket(struct program *p, uint32_t queue, int fd)
{
    return bpf_map_update_elem(p->sockets, &queue, &fd, BPF_ANY);
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct program_key));
}

/* What comes is there before what goes is gone. */
int program_set_keys(struct program *p, struct program_key *keys, size_t n)
{
    uint8_t one = 1;
    int error = 0;

    if (n > 0)
        qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n && error == 0; i++)
        error = bpf_map_update_elem(p->keys, &keys[i], &one, BPF_ANY);
    for (size_t i = 0; i < p->n_held; i++) {
        if (n == 0 || bsearch(&p->held[i], keys, n, sizeof(*keys), compare_keys) == NULL)
            (void)bpf_map_delete_elem(p->keys, &p->held[i]);
    }
    free(p->held);
    p->held = keys;
    p->n_held = n;
    return error;
}

uint64_t program_passed(const struct program *p)
{
    int n_cpus = libbpf_num_possible_cpus();
    uint64_t *values, sum = 0;
    uint32_t zero = 0;

    if (n_cpus <= 0 || p->passed < 0)
        return 0;
    values = base_zalloc((size_t)n_cpus, sizeof(*values));
    if (bpf_map_lookup_elem(p->passed, &zero, values) == 0) {
        for (int i = 0; i < n_cpus; i++)
            sum += values[i];
    }
    free(values);
    return sum;
}

void program_unload(struct program *p)
{
    int fds[] = {p->link, p->code, p->sockets, p->keys, p->passed};

    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(p->held);
    *p = (struct program){.code = -1, .keys = -1, .sockets = -1, .passed = -1, .link = -1};
}

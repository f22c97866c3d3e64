/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dnsfloor PORT    the least a DNS server can cost: receives batches of packets, says in each that
 * it is an answer, sends them back. No parsing, no lookup: what is left is the kernel.
 */
#include "tests/bench/tool.h"

#include <sys/socket.h>

enum { BATCH = 64, PACKET_MAX = 1500, BUFFER = 4 << 20 };

static uint8_t packets[BATCH][PACKET_MAX];
static struct sockaddr_in peers[BATCH];
static struct iovec iovs[BATCH];
static struct mmsghdr messages[BATCH];

static int open_socket(uint16_t port)
{
    struct sockaddr_in at = tool_loopback(port);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), buffer = BUFFER;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
        tool_die("cannot bind 127.0.0.1:%u", port);
    return fd;
}

static void prepare(void)
{
    for (size_t i = 0; i < BATCH; i++) {
        iovs[i] = (struct iovec){packets[i], PACKET_MAX};
        messages[i].msg_hdr.msg_iov = &iovs[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &peers[i];
        messages[i].msg_hdr.msg_namelen = sizeof(peers[i]);
    }
}

static void answer(int fd, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        packets[i][2] |= 0x84; /* QR and AA, RFC 1035 section 4.1.1 */
        iovs[i].iov_len = messages[i].msg_len;
    }
    for (unsigned sent = 0; sent < n;) {
        int r = sendmmsg(fd, messages + sent, n - sent, 0);

        sent += r > 0 ? (unsigned)r : 1;
    }
    for (unsigned i = 0; i < n; i++) {
        iovs[i].iov_len = PACKET_MAX;
        messages[i].msg_hdr.msg_namelen = sizeof(peers[i]);
    }
}

int main(int argc, char **argv)
{
    int fd;

    if (argc != 2)
        tool_die("usage: dnsfloor PORT");
    fd = open_socket((uint16_t)tool_number(argv[1], 1, 65535));
    prepare();
    for (;;) {
        int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);

        if (n > 0)
            answer(fd, (unsigned)n);
    }
}

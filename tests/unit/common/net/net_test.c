/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct place PLACE = {"a.yaml", 3, 5};

static struct addr addr_from(const char *text)
{
    struct addr a;

    assert_true(addr_parse(str_of(text), 0, &a));
    return a;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof(value);

    assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
    return value;
}

/* The only mistake that was reported has this text in it. */
static void assert_said(struct errors *e, const char *want)
{
    assert_int_equal(e->n, 1);
    assert_string_equal(e->items[0].file, PLACE.file);
    assert_int_equal(e->items[0].line, PLACE.line);
    if (strstr(e->items[0].message, want) == NULL)
        fail_msg("said: %s", e->items[0].message);
    errors_free(e);
}

static void a_connection_goes_through(const char *listen_text)
{
    struct errors errors = {0};
    struct addr at = addr_from(listen_text), local, peer, seen;
    int listener = net_listen_tcp(&at, 8, &errors, PLACE), fd, accepted;
    struct pollfd ready;

    assert_true(listener >= 0);
    assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
    assert_false(has_failed(net_local_addr(listener, &local)));
    assert_int_not_equal(addr_port(&local), 0);
    fd = net_connect_tcp(&local);
    assert_true(fd >= 0);
    ready = (struct pollfd){.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(net_take_error(fd), 0);
    assert_false(has_failed(net_peer_addr(accepted, &peer)));
    assert_false(has_failed(net_local_addr(fd, &seen)));
    assert_true(addr_eq(&peer, &seen));
    assert_true(option(accepted, IPPROTO_TCP, TCP_NODELAY) > 0);
    close(accepted);
    close(fd);
    close(listener);
    assert_int_equal(errors.n, 0);
}

static void tcp_connects(void **state)
{
    (void)state;
    a_connection_goes_through("127.0.0.1:0");
    a_connection_goes_through("[::1]:0");
}

static void a_refused_connection_is_told(void **state)
{
    struct errors errors = {0};
    struct addr at = addr_from("127.0.0.1:0"), local;
    int listener = net_listen_tcp(&at, 8, &errors, PLACE), fd;
    struct pollfd ready;

    (void)state;
    assert_false(has_failed(net_local_addr(listener, &local)));
    close(listener);
    fd = net_connect_tcp(&local);
    if (fd < 0) {
        assert_int_equal(errno, ECONNREFUSED);
        return;
    }
    ready = (struct pollfd){.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    assert_int_equal(net_take_error(fd), ECONNREFUSED);
    close(fd);
}

static void what_cannot_listen_says_why(void **state)
{
    struct errors errors = {0};
    struct addr at = addr_from("192.0.2.1:53");

    (void)state;
    assert_int_equal(net_listen_tcp(&at, 8, &errors, PLACE), -1);
    assert_said(&errors, "cannot listen on TCP 192.0.2.1:53: Cannot assign requested address: this "
                         "machine has no such address");
    assert_int_equal(net_bind_udp(&at, false, &errors, PLACE), -1);
    assert_said(&errors, "UDP 192.0.2.1:53");
}

static void a_taken_port_is_seen(void **state)
{
    static const int TYPES[] = {SOCK_STREAM, SOCK_DGRAM};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(TYPES); i++) {
        struct errors errors = {0};
        struct addr at = addr_from("127.0.0.1:0"), local;
        int fd = TYPES[i] == SOCK_STREAM ? net_listen_tcp(&at, 8, &errors, PLACE)
                                         : net_bind_udp(&at, false, &errors, PLACE);

        assert_false(has_failed(net_check_free(&at, TYPES[i], &errors, PLACE)));
        assert_false(has_failed(net_local_addr(fd, &local)));
        assert_true(has_failed(net_check_free(&local, TYPES[i], &errors, PLACE)));
        assert_said(&errors, "another program has it");
        close(fd);
        assert_false(has_failed(net_check_free(&local, TYPES[i], &errors, PLACE)));
    }
}

/* A forged ICMP message must not make answers smaller, or keep them back (RFC 9715). */
static void datagrams_may_be_fragmented(void **state)
{
    struct errors errors = {0};
    struct addr v4 = addr_from("127.0.0.1:0"), v6 = addr_from("[::1]:0");
    int fd4 = net_bind_udp(&v4, false, &errors, PLACE),
        fd6 = net_bind_udp(&v6, false, &errors, PLACE);

    (void)state;
    assert_int_equal(option(fd4, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
    assert_int_equal(option(fd6, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_OMIT);
    close(fd4);
    close(fd6);
}

static void workers_share_a_port(void **state)
{
    struct errors errors = {0};
    struct addr at = addr_from("[::1]:0"), local;
    int first = net_bind_udp(&at, true, &errors, PLACE), second;

    (void)state;
    assert_false(has_failed(net_local_addr(first, &local)));
    second = net_bind_udp(&local, true, &errors, PLACE);
    assert_true(second >= 0);
    assert_int_equal(option(second, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    assert_int_equal(option(second, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
    close(first);
    close(second);
}

/* ---- Unix sockets ---- */

static char folder[] = "/tmp/gslb-net-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/s", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void a_unix_socket_takes_over_from_the_dead_only(void **state)
{
    struct errors errors = {0};
    struct stat st;
    int first = net_listen_unix(path, &errors, PLACE), client;

    (void)state;
    assert_true(first >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    client = net_connect_unix(path);
    assert_true(client >= 0);
    close(client);
    assert_int_equal(net_listen_unix(path, &errors, PLACE), -1);
    assert_said(&errors, "a running program answers there");
    close(first); /* its socket file stays behind */
    assert_int_equal(net_connect_unix(path), -1);
    first = net_listen_unix(path, &errors, PLACE);
    assert_true(first >= 0);
    close(first);
    unlink(path);
}

static void a_file_in_the_way_stays(void **state)
{
    struct errors errors = {0};
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(net_listen_unix(path, &errors, PLACE), -1);
    assert_said(&errors, "Address already in use");
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

static void bad_paths_say_why(void **state)
{
    struct errors errors = {0};
    char longest[200];

    (void)state;
    assert_int_equal(net_listen_unix("/nix/da/s", &errors, PLACE), -1);
    assert_said(&errors, "its folder does not exist");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(net_listen_unix(longest, &errors, PLACE), -1);
    assert_said(&errors, "File name too long");
    assert_int_equal(net_connect_unix(longest), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

static void there_is_a_cpu(void **state)
{
    (void)state;
    assert_in_range(net_cpu_count(), 1, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_connects),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(what_cannot_listen_says_why),
        cmocka_unit_test(a_taken_port_is_seen),
        cmocka_unit_test(datagrams_may_be_fragmented),
        cmocka_unit_test(workers_share_a_port),
        cmocka_unit_test(a_unix_socket_takes_over_from_the_dead_only),
        cmocka_unit_test(a_file_in_the_way_stays),
        cmocka_unit_test(bad_paths_say_why),
        cmocka_unit_test(there_is_a_cpu),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bursts of TLS handshakes: who is connected already is answered all the while, newcomers are served in
their turn, and those for whom there is no room are refused."""
import contextlib
import os
import selectors
import signal
import socket
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, total, wait_connections  # noqa: E402
from gslbtest import PATIENCE, case, check, check_equal, main, wait_until  # noqa: E402
from tls_lab import connection_over, context_for, dial, get_over, issue  # noqa: E402

BURST = 500


def edit(config, site):
    config["workers"] = 1
    # RSA takes longest: whatever the machine, a burst of it is longer than a turn.
    config["tls"]["certificates"] = [issue(site.folder, site.certs.folder, "rsa", [HOST], rsa=True)]


def build():
    site = edge_site(edit)
    site.trust = context_for(site)
    site.origin.serve("/hit", b"hit", cache_control="max-age=1000")
    return site


def client_hello(site):
    """The same for everybody: the server's work does not get less by it, the client's does."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = site.trust.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@contextlib.contextmanager
def newcomers(site, count):
    socks = []
    try:
        before = site.edge.metric("edge_connections_total")
        for _ in range(count):
            socks.append(socket.create_connection((site.edge.address, site.edge.https_port), 20 * PATIENCE))
        wait_until(lambda: site.edge.metric("edge_connections_total") >= before + count, "all to be accepted")
        yield socks
    finally:
        for sock in socks:
            sock.close()


def replies(socks):
    """How many were answered, how many closed without a word."""
    answered = closed = 0
    with selectors.DefaultSelector() as waiting:
        for sock in socks:
            waiting.register(sock, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(30 * PATIENCE)
            check(ready, f"{len(waiting.get_map())} newcomers wait for ever")
            for key, _ in ready:
                waiting.unregister(key.fileobj)
                try:
                    data = key.fileobj.recv(1)
                except ConnectionResetError:
                    data = b""
                answered += bool(data)
                closed += not data
    return answered, closed


@case
def the_established_are_answered_during_a_burst(site):
    hello, stop, answers = client_hello(site), threading.Event(), [0]

    def visit():
        with dial(site.edge, site.trust) as tls:
            c = connection_over(tls)
            while not stop.is_set():
                check_equal(c.request("GET", "/hit", HOST).status, 200)
                answers[0] += 1
    visitor = threading.Thread(target=visit)
    with newcomers(site, BURST) as socks, counted(site.edge, {"tls_failures_total": 0}):
        visitor.start()
        wait_until(lambda: answers[0] > 10, "the established visitor")
        before = site.edge.metric("edge_tls_handshakes_delayed_total")
        site.edge.program.signal(signal.SIGSTOP)     # so that they arrive as one
        for sock in socks:
            sock.send(hello)
        since = answers[0]
        site.edge.program.signal(signal.SIGCONT)
        check_equal(replies(socks), (BURST, 0))
        during = answers[0] - since
        stop.set()
        visitor.join()
        delayed = site.edge.metric("edge_tls_handshakes_delayed_total") - before
    # Some 400 microseconds each, a millisecond a turn, and an answer each turn.
    check(delayed >= BURST / 2, f"{delayed} newcomers waited")
    check(during >= 20, f"{during} answers during the burst")
    check_equal(site.edge.metric("edge_tls_handshakes_delayed_total"),
                site.edge.metric("edge_tls_handshakes_delayed_over_total"), "nobody waits any more")


@case
def beyond_the_limit_newcomers_are_refused(site):
    hello = client_hello(site)
    site.edge.config["limits"] = {"waiting-handshakes": 10}
    site.edge.reload()
    try:
        with newcomers(site, 200) as socks:
            before = total(site.edge.metrics(), 'refused_total.reason="handshakes"')
            site.edge.program.signal(signal.SIGSTOP)
            for sock in socks:
                sock.send(hello)
            site.edge.program.signal(signal.SIGCONT)
            answered, closed = replies(socks)
            refused = total(site.edge.metrics(), 'refused_total.reason="handshakes"') - before
        check_equal(refused, closed)
        check(closed >= 20, f"{closed} were refused, {answered} served")
        check(answered >= 10, f"{answered} were served")
        with dial(site.edge, site.trust) as tls:
            check_equal(get_over(tls, "/hit").status, 200)
    finally:
        del site.edge.config["limits"]
        site.edge.reload()


@case
def waiting_newcomers_may_go_and_certificates_change(site):
    hello = client_hello(site)
    with newcomers(site, 300) as socks:
        site.edge.program.signal(signal.SIGSTOP)
        for sock in socks:
            sock.send(hello)
        for sock in socks[::3]:
            sock.close()
        site.edge.write_config()
        site.edge.program.signal(signal.SIGHUP)      # while they wait
        site.edge.program.signal(signal.SIGCONT)
        check_equal(replies([sock for sock in socks if sock.fileno() >= 0]), (200, 0))
    wait_connections(site.edge, 0)
    check_equal(site.edge.metric("edge_tls_handshakes_delayed_total"),
                site.edge.metric("edge_tls_handshakes_delayed_over_total"), "nobody waits any more")


@case
def silent_newcomers_have_a_deadline(site):
    site.edge.config["limits"] = {"handshake-timeout": "300ms"}
    site.edge.reload()
    try:
        with counted(site.edge, {'tls_failures_total.reason="timeout"': 5}):
            with newcomers(site, 5) as socks:
                check_equal(replies(socks), (0, 5))
    finally:
        del site.edge.config["limits"]
        site.edge.reload()


main(build)

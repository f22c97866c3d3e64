#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Connections to origins: who we are to them and they to us, what is kept and who may use it."""
import json
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site, open_files  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, stays_true, wait_until  # noqa: E402
from origin import Origin  # noqa: E402
from tls_lab import issue  # noqa: E402

WORKERS = 4


def plain_edit(config, site):
    config["workers"] = WORKERS
    config["pools"] = {"app": {"origins": [site.origin.address], "idle-timeout": "60s"}}
    config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}


def build():
    return edge_site(plain_edit)


def get_apart(site, path, count, pause_s=0.0):
    """Each request over a client connection of its own, so that any worker may have it."""
    for _ in range(count):
        check_equal(site.edge.get(path).status, 200)
        time.sleep(pause_s)
    return {request.connection_id for request in site.origin.seen(path)}


# ---- One pool for the process

@case
def an_idle_connection_serves_every_worker(site):
    used = get_apart(site, "/apart", 16, pause_s=0.35)
    check(len(used) <= 2, f"16 requests, {len(used)} connections to the origin")
    check(site.edge.metric("edge_upstream_shared_total") >= 1, "some were another worker's")


@case
def bytes_that_nobody_asked_for_end_it(site):
    """RFC 9112 section 9.2: they could be taken for the answer to the next request."""
    origin = site.origin

    def answer_and_more(x):
        x.reply(200, {}, b"answer")
        time.sleep(0.6)         # by then it lies in the common store
        x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    origin.on("/more", answer_and_more)
    with counted(site.edge, {"edge_upstream_stray_total": 1}):
        check_equal(site.edge.get("/more").text, "answer")
        wait_until(lambda: site.edge.metric("edge_upstream_stray_total") >= 1, "the bytes to be seen")
    for _ in range(8):
        check_equal(site.edge.get("/fine").text, "origin-1 /fine\n")


@case
def one_that_the_origin_closed_is_no_failure(site):
    for wait_s in (0, 0.5):
        get_apart(site, "/kept", 4)
        time.sleep(wait_s)
        site.origin.drop_connections()
        get_apart(site, "/kept", 8)


@case
def a_reload_keeps_them_and_the_pool_s_limits_hold(site):
    before = site.edge.metric("edge_upstream_connects_total")
    get_apart(site, "/reload", 1)
    site.edge.reload()
    get_apart(site, "/reload", 1, pause_s=0.4)
    check(site.edge.metric("edge_upstream_connects_total") <= before + 2, "nothing was opened anew")
    site.edge.config["pools"]["app"]["idle-timeout"] = "500ms"
    site.edge.reload()
    site.origin.drop_connections()      # those were kept under the old limit
    get_apart(site, "/short", 8)
    wait_until(lambda: site.origin.open_connections() == 0, "idle connections to end")
    site.edge.config["pools"]["app"]["keep-idle"] = 0
    site.edge.reload()
    check_equal(len(get_apart(site, "/none", 5)), 5)
    files = open_files(site.edge)
    get_apart(site, "/none", 20)
    stays_true(lambda: open_files(site.edge) <= files + 1, "no file to be lost", 0.2)


# ---- TLS

def tls_site(tls, context):
    """An edge before an origin that speaks TLS as context says; the site's CA is trusted."""
    def edit(config, site):
        config["workers"] = 1
        config["pools"]["app"] = {"origins": [site.origins[0].address],
                                  "tls": {"ca": str(site.certs.ca), **tls(site)}}
        config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}

    def more(site):
        site.origins.append(Origin("secret", tls_context=context(site)))
    return edge_site(edit, origins=0, build=more)


def server_context(site, *hosts, **how):
    pair = site.certs.site(*(hosts or (HOST,)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair["certificate"], pair["key"])
    for name, value in how.items():
        setattr(context, name, value)
    return context


def demanding_context(site):
    context = server_context(site, verify_mode=ssl.CERT_REQUIRED)
    context.load_verify_locations(site.certs.ca)
    return context


def own_pair(site):
    pair = site.certs.node("edge", "edge-client")
    return {"certificate": pair["certificate"], "key": pair["key"]}


@case_table({"shown": (own_pair, 200), "not shown": (lambda site: {}, 502)})
def an_origin_may_ask_for_a_certificate(tls, status):
    with tls_site(tls, demanding_context) as site:
        check_equal(site.edge.get("/who").status, status)
        if status != 200:
            check(site.edge.metric('upstream_errors_total.reason="(tls|reset)"') > 0, "it is counted")


@case
def a_new_certificate_is_shown_after_a_reload():
    """Files with the same names: what was opened under the old one serves nobody any more. A reload
    that changes nothing keeps what is open."""
    def pair(folder, name):
        return issue(folder, folder, name, extensions=["extendedKeyUsage=clientAuth"])

    def tls(site):
        site.pair = pair(site.certs.folder, "client-old")
        return site.pair

    with tls_site(tls, demanding_context) as site:
        shown = []

        def answer(x):
            shown.append(dict(field[0] for field in x.sock.getpeercert()["subject"])["commonName"])
            x.reply(200, {}, b"seen")
        site.origins[0].on("/shown", answer)

        def connection_of_a_request():
            check_equal(site.edge.get("/shown").status, 200)
            return site.origins[0].seen("/shown")[-1].connection_id
        first = connection_of_a_request()
        site.edge.reload()
        check_equal(connection_of_a_request(), first, "the files are as they were")
        new = pair(site.certs.folder, "client-new")
        for what in ("certificate", "key"):
            os.replace(new[what], site.pair[what])
        check_equal(connection_of_a_request(), first, "nobody has asked for a reload yet")
        site.edge.reload()
        check(connection_of_a_request() != first, "another connection")
        check_equal(shown, ["client-old"] * 3 + ["client-new"])


@case
def a_handshake_that_stalls_is_a_connection_that_does_not_open():
    """connect-timeout is for both."""
    def more(site):
        listener = socket.create_server(("127.0.0.1", 0))
        site.cleanups_of_case = listener
        site.stalling = f"127.0.0.1:{listener.getsockname()[1]}"

    def edit(config, site):
        config["pools"]["app"] = {"origins": [site.stalling], "connect-timeout": "400ms", "tls": {"verify": False}}
        config["sites"][HOST]["routes"] = {"/": {"pool": "app", "cache": False}}
    with edge_site(edit, origins=0, build=more) as site:
        start = time.monotonic()
        with counted(site.edge, {'upstream_errors_total.reason="connect-timeout"': 1}):
            check_equal(site.edge.get("/").status, 504)
        check(time.monotonic() - start > 0.35, "not before its time")
        site.cleanups_of_case.close()


@case_table({
    "old enough": ({"min-version": "1.2"}, ssl.TLSVersion.TLSv1_2, 200),
    "too old": ({"min-version": "1.3"}, ssl.TLSVersion.TLSv1_2, 502),
})
def versions_are_as_the_operator_wants(tls, newest, status):
    with tls_site(lambda site: tls, lambda site: server_context(site, maximum_version=newest)) as site:
        check_equal(site.edge.get("/version").status, status)


@case_table({"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3})
def sessions_are_resumed(newest):
    with tls_site(lambda site: {}, lambda site: server_context(site, maximum_version=newest)) as site:
        site.origins[0].on("/again", lambda x: (x.reply(200, {}, b"again"), x.close()))
        for _ in range(3):
            check_equal(site.edge.get("/again").status, 200)
            wait_until(lambda: site.origins[0].open_connections() == 0, "the connection to end")
        check(site.edge.metric("edge_upstream_tls_resumed_total") >= 1, "a session was resumed")


@case
def what_was_wrong_with_a_certificate_is_told():
    """By the status, once for an origin; the log has no line for each request."""
    with tls_site(lambda site: {"server-name": "elsewhere.example.net"}, server_context) as site:
        mark = site.edge.program.mark()
        for _ in range(5):
            check(site.edge.get("/name").status in (502, 503), "no answer from a stranger")
        check_equal([line for line in site.edge.program.log_lines("ertificate", mark) if "access" not in line
                     and not line.startswith("{")], [])
        status = json.dumps(json.loads(site.edge.ctl("status", "--json").stdout))
        check_in("certificate: hostname mismatch", status.lower())


@case_table({
    "half a pair": ({"certificate": "{0}"}, "certificate and key go together"),
    "no such file": ({"ca": "/nowhere.pem"}, "cannot be read"),
    "another key": ({"certificate": "{0}", "key": "{1}"}, "does not belong to the certificate"),
})
def mistakes_are_refused(site, tls, wanted):
    files = (own_pair(site)["certificate"], site.certs.site("other.example")["key"])
    pool = site.edge.config["pools"]["app"]
    pool["tls"] = {key: value.format(*files) for key, value in tls.items()}
    site.edge.write_config()
    result = site.edge.ctl("reload")
    check(result.returncode != 0, "it is refused")
    check_in(wanted, result.stdout + result.stderr)
    del pool["tls"]
    site.edge.reload()


main(build)

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What toy reverse proxies get wrong in HTTP/1.1: framing, hop-by-hop fields, interim responses. One
function for each number, http_check_NN_what, in their order; tests/lib/list-checks http lists them,
and those in other files.

Each asks the running program the one question that tells; the files beside this one go into every
corner. www.example.com is served by an origin that follows a script, raw.example.com by one that
keeps every byte and answers with the bytes it was given.
"""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, RawOrigin, counted, edge_site, logged  # noqa: E402
from gslbtest import TOP, case, check, check_equal, check_in, free_port, main, wait_until  # noqa: E402

RAW = "raw.example.com"
OK = RawOrigin.OK
NEXT = b"GET /next HTTP/1.1\r\nHost: raw.example.com\r\n\r\n"
TRUSTED = "127.0.0.78"


def build():
    raw = RawOrigin(free_port())

    def edit(config, site):
        config["pools"]["raw"] = {"origins": [raw.address]}
        config["pools"]["both"] = {"origins": [origin.address for origin in site.origins[:2]]}
        config["sites"]["two.example.com"] = {"routes": {"/": "both"}}
        config["sites"][RAW] = {"routes": {"/": "raw", "/pass/": {"pool": "raw", "cache": False}}}
        config["trusted-proxies"] = [TRUSTED]

    def more(site):
        site.add_origin("origin-2")
        site.origins.append(raw)
    site = edge_site(edit, build=more)
    site.raw = raw
    return site


def head(fields=b"", line=b"GET / HTTP/1.1", host=b"Host: raw.example.com\r\n"):
    return line + b"\r\n" + host + fields + b"\r\n"


def post(fields, body=b""):
    return head(fields, b"POST / HTTP/1.1") + body


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def forget(site):
    """Ends the origin's connections, and what they brought."""
    site.raw.drop_connections()
    wait_until(lambda: not site.raw.open_sockets(), "the origin's connections to end")
    site.raw.clear()


def tell(site, data, behind=NEXT):
    """Sends bytes, and behind them what a smuggler would hide there; everything that is answered
    until the end."""
    forget(site)
    with site.edge.http.connect(timeout_s=6) as c:
        try:
            c.send(data + behind)
            c.sock.shutdown(1)
        except OSError:
            pass    # refused and closed before all was sent
        return c.read_to_end()


def check_refused(site, data, status=400):
    """Answered with that status alone, closed, and the origin knows nothing of it."""
    answer = tell(site, data)
    check_equal(statuses(answer), [status], f"{data!r} was answered {answer!r}")
    check_in(b"Connection: close", answer)
    check_equal(site.raw.all_bytes(), b"", f"{data!r}: what the origin got")


def sent(site, data):
    """What the origin got for data, and for the request behind it, which must have been a second."""
    answer = tell(site, data)
    check_equal(statuses(answer)[-2:], [200, 200], f"{data!r} was answered {answer!r}")
    wait_until(lambda: site.raw.heads() == 2 or check(False, f"requests in {site.raw.all_bytes()!r}"), "both requests")
    got = site.raw.all_bytes()
    return got[:got.index(b"GET /next ")]


def answered(site, answer, path="/", then_close=True):
    """What the visitor gets when the origin sends these bytes."""
    forget(site)
    site.raw.answer, site.raw.then_close = answer, then_close
    try:
        with site.edge.http.connect(timeout_s=6) as c:
            c.send_request("GET", path, RAW, {"Connection": "close"})
            return c.read_to_end()
    finally:
        forget(site)
        site.raw.answer, site.raw.then_close = OK, False


def newest(site, path):
    check(site.origin.seen(path), f"the origin was not asked for {path}")
    return site.origin.seen(path)[-1]


@case
def every_check_has_a_test():
    result = subprocess.run([TOP / "tests/lib/list-checks", "http", "1-16", "18-33"],
                            capture_output=True, text=True, check=False)
    check_equal(result.returncode, 0, result.stdout)


@case
def http_check_01_length_and_coding_together(site):
    for fields in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                   b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"):
        check_refused(site, post(fields, b"0\r\n\r\n"))
    answer = answered(site, b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 90\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "/both", False)
    check(b"Content-Length" not in answer and b"2\r\nok\r\n0\r\n\r\n" in answer, f"{answer!r}")
    check_in(b"fwd=", answered(site, OK, "/both"), "two opinions are not stored")


@case
def http_check_02_lengths_that_differ_or_repeat(site):
    for fields in (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5, 6\r\n",
                   b"Content-Length: 5, 5\r\n", b"Content-Length: 5\r\nContent-Length: 5\r\n",
                   b"Content-Length:\r\nContent-Length: 5\r\n", b"Content-Length: 5,\r\n"):
        check_refused(site, post(fields, b"hello!"))
    check_equal(statuses(answered(site, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk")),
                [502])


@case
def http_check_03_lengths_are_digits(site):
    for value in (b"+5", b"-0", b"0x5", b"1_0", b"5 5", b"5.0", b"", b"9" * 20, b"18446744073709551621",
                  b"\xd9\xa5", b"5\x0b"):
        check_refused(site, post(b"Content-Length: " + value + b"\r\n", b"hello"))
    got = sent(site, post(b"Content-Length: \t005 \t\r\n", b"hello"))
    check(b"\r\nContent-Length: 5\r\n" in got and got.endswith(b"\r\n\r\nhello"), f"{got!r}")
    check_equal(statuses(answered(site, b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok")), [502])


@case
def http_check_04_coding_is_chunked_once_and_nothing_else(site):
    for value in (b"xchunked", b",chunked", b"chunked,", b"chunked;x=1", b"identity", b"chunked, chunked",
                  b"chunked, identity", b"identity, chunked", b"\x0bchunked", b"chunked\x0c", b"", b"\"chunked\"",
                  b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity"):
        check_refused(site, post(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n"))
    check_refused(site, post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501)
    check_in(b"\r\nTransfer-Encoding: chunked\r\n",
             sent(site, post(b"transfer-encoding: \tCHUNKED \r\n", b"2\r\nok\r\n0\r\n\r\n")))
    check_equal(statuses(answered(site, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")), [502])


@case
def http_check_05_coding_on_http_1_0(site):
    data = b"POST / HTTP/1.0\r\nHost: raw.example.com\r\nConnection: keep-alive\r\n" \
           b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    check_refused(site, data)
    check_equal(statuses(answered(site, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), [502])


@case
def http_check_06_space_before_a_colon_or_the_first_field(site):
    for fields in (b"X : 1\r\n", b"X\t: 1\r\n", b"Content-Length : 5\r\n", b"no colon\r\n", b": 1\r\n"):
        check_refused(site, head(fields))
    for white in (b" ", b"\t"):
        check_refused(site, b"GET / HTTP/1.1\r\n" + white + b"X: 1\r\nHost: raw.example.com\r\n\r\n")
    check_equal(statuses(answered(site, b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok")), [502])


@case
def http_check_07_folded_lines(site):
    for white in (b" ", b"\t"):
        check_refused(site, head(b"X: 1\r\n" + white + b"Transfer-Encoding: chunked\r\n"))
    answer = answered(site, b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n\t b\r\nContent-Length: 2\r\n\r\nok")
    check(re.search(rb"\r\nX-Folded: a +\t? ?b\r\n", answer), f"one line in {answer!r}")


@case
def http_check_08_bare_cr_lf_and_nul(site):
    for bad in (b"\n", b"\r", b"\0", b"\x0b"):
        for data in (head(line=b"GET /" + bad + b" HTTP/1.1"), head(line=b"GE" + bad + b"T / HTTP/1.1"),
                     head(b"X" + bad + b": 1\r\n"), head(b"X: a" + bad + b"b\r\n"),
                     head(line=b"GET / HTTP/1.1" + bad)):
            check_refused(site, data)
        check_equal(statuses(answered(site, b"HTTP/1.1 200 OK\r\nX: a" + bad + b"b\r\nContent-Length: 2\r\n\r\nok")),
                    [502], repr(bad))
    check_refused(site, head().replace(b"\r\n", b"\n"))


def check_broken_body(site, body, wanted=(400, 413)):
    """The head may have gone on: what went has no end that could be taken for one, and nothing behind."""
    site.raw.answer = None
    try:
        answer = tell(site, post(b"Transfer-Encoding: chunked\r\n", body))
    finally:
        site.raw.answer = OK
    check(len(statuses(answer)) == 1 and statuses(answer)[0] in wanted, f"{body!r} was answered {answer!r}")
    wait_until(lambda: not site.raw.open_sockets(), "the connection to the origin to be closed")
    got = site.raw.all_bytes()
    check(b"/next" not in got and not got.endswith(b"\r\n0\r\n\r\n"), f"{body!r}: the origin got {got!r}")


@case
def http_check_09_chunk_sizes(site):
    for size in (b"0x2", b"+2", b"-2", b" 2", b"2 ", b"1_0", b"", b"g", b"\t2", b"10000000000000002",
                 b"8000000000000000", b"0" * 40 + b"2", b"2\xc2"):
        check_broken_body(site, size + b"\r\nok\r\n0\r\n\r\n")
    check_in(b"\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
             sent(site, post(b"Transfer-Encoding: chunked\r\n", b"000A\r\n0123456789\r\n000\r\n\r\n")))


@case
def http_check_10_chunk_extensions_are_bounded_and_dropped(site):
    for extension in (b";a\nb", b";a\rb", b";a\0b", b";" + b"a" * 300, b";a\r\r\n"):
        check_broken_body(site, b"2" + extension + b"\r\nok\r\n0\r\n\r\n")
    check_broken_body(site, b"1;" + b"a" * 200 + b"\r\nx\r\n" + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100)
    got = sent(site, post(b"Transfer-Encoding: chunked\r\n", b'2;a="b;c"\r\nok\r\n0;last\r\n\r\n'))
    check(got.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"), f"{got!r}")


@case
def http_check_11_exactly_crlf_behind_a_chunk(site):
    for body in (b"2\r\nokXX0\r\n\r\n", b"2\r\nok\n0\r\n\r\n", b"2\r\nok\r0\r\n\r\n", b"2\r\nokk\r\n0\r\n\r\n",
                 b"2\r\nok\n\r0\r\n\r\n", b"2\nok\r\n0\r\n\r\n", b"2\r\nok\r\n0\n\r\n"):
        check_broken_body(site, body)
    got = sent(site, post(b"Transfer-Encoding: chunked\r\n", b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"))
    check(got.endswith((b"2\r\nok\r\n0\r\n\r\n", b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n")), f"framed anew: {got!r}")


@case
def http_check_12_trailers_are_no_fields(site):
    got = sent(site, post(b"Trailer: Host\r\nTransfer-Encoding: chunked\r\n",
                          b"2\r\nok\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: evil\r\n"
                          b"Authorization: evil\r\nContent-Type: evil\r\nX-Forwarded-For: evil\r\n\r\n"))
    check(b"evil" not in got and got.endswith(b"\r\n0\r\n\r\n"), f"{got!r}")
    check_broken_body(site, b"2\r\nok\r\n0\r\nX: " + b"a" * 9000 + b"\r\n\r\n", (431,))
    check_broken_body(site, b"2\r\nok\r\n0\r\nno colon\r\n\r\n")
    check_broken_body(site, b"2\r\nok\r\n0\r\nX: 1\r\n folded\r\n\r\n")
    answer = answered(site, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n"
                            b"2\r\nok\r\n0\r\nCache-Control: no-store\r\nSet-Cookie: evil\r\n"
                            b"Content-Length: 1\r\n\r\n", "/trailers", False)
    check(b"evil" not in answer and b"no-store" not in answer, f"{answer!r}")


@case
def http_check_13_truncated_bodies(site):
    for number, framing in enumerate((b"Content-Length: 100\r\n\r\nhalf",
                                      b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                                      b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf")):
        path = f"/cut/{number}"
        with counted(site.edge, {"edge_responses_aborted_total": 1, 'errors_total.reason="truncated"': 1}):
            answer = answered(site, b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + framing, path)
        check(not answer.endswith(b"0\r\n\r\n"), f"taken for whole: {answer!r}")
        check(answered(site, OK, path).endswith(b"\r\n\r\nok"), "it was not stored")


@case
def http_check_14_unread_bodies_are_no_requests(site):
    site.origin.serve("/hit", b"stored", cache_control="max-age=60")
    check_equal(site.edge.get("/hit").status, 200)
    hidden = b"GET /hidden HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    length = b"Content-Length: %d\r\n" % len(hidden)
    for line, host in ((b"GET /hit HTTP/1.1", b"www.example.com"), (b"POST /x HTTP/1.1", b"unknown.example"),
                       (b"TRACE /x HTTP/1.1", b"www.example.com")):
        tell(site, head(length, line, b"Host: " + host + b"\r\n") + hidden, b"")
    check_equal(site.origin.count("/hidden"), 0)


@case
def http_check_15_bodies_of_get_and_their_like(site):
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
        answer = tell(site, head(b"Content-Length: 5\r\n", method + b" /pass/b HTTP/1.1") + b"hello")
        got = site.raw.all_bytes()
        check_equal(site.raw.heads(), 2, f"{method}: {got!r} was answered {answer!r}")
        check_in(b"\r\nContent-Length: 5\r\n", got)
        check_in(b"\r\n\r\nhello", got)
    check(b"Content-Length" not in sent(site, head()), "no length without a body")


@case
def http_check_16_host_missing_repeated_invalid_or_absolute(site):
    for host in (b"", b"Host: raw.example.com\r\nHost: raw.example.com\r\n", b"Host:\r\n", b"Host: a b\r\n",
                 b"Host: a@b\r\n", b"Host: a/b\r\n", b"Host: a:b\r\n", b"Host: a, b\r\n", b"Host: [::1\r\n",
                 b"Host: a:70000\r\n", b"Host: a%00b\r\n"):
        check_refused(site, head(host=host))
    check_refused(site, head(line=b"GET http://raw.example.com/ HTTP/1.1", host=b""))
    check_refused(site, head(line=b"GET http://user@raw.example.com/ HTTP/1.1"))
    for target, path in ((b"http://raw.example.com", b"/"), (b"HTTP://RAW.example.com?q", b"/?q"),
                         (b"http://raw.example.com/pass/x", b"/pass/x")):
        got = sent(site, head(line=b"GET " + target + b" HTTP/1.1", host=b"Host: other.example\r\n"))
        check(got.startswith(b"GET " + path + b" HTTP/1.1\r\nHost: ") and b"other" not in got, f"{got!r}")


@case
def http_check_18_methods(site):
    for method in (b"get", b"GETX", b"G", b"GE'T", b"PROPFIND"):
        check(sent(site, head(line=method + b" / HTTP/1.1")).startswith(method + b" / HTTP/1.1\r\n"), method)
    for method in (b"GE(T", b"", b"GE:T", b"G\xc3\x89T"):
        check_refused(site, head(line=method + b" / HTTP/1.1"))
    check_refused(site, head(line=b"CONNECT raw.example.com:443 HTTP/1.1"), 501)
    check_refused(site, head(line=b"M" * 100 + b" / HTTP/1.1"), 501)


@case
def http_check_19_targets_are_forwarded_as_they_were_judged(site):
    for target in (b"/a b", b"/a\tb", b"/a#b", b"/a\x7f", b"/\xc3\xa9", b"/a\\b", b"//a b", b"a", b"*", b"http:/x",
                   b"/../a", b"/a/%2e%2E/b"):
        answer = tell(site, head(line=b"GET " + target + b" HTTP/1.1"))
        check_equal(statuses(answer)[:1], [400], f"{target!r}: {answer!r}")
        check(target not in site.raw.all_bytes(), f"{site.raw.all_bytes()!r}")
    for target in (b"/a%2Fb%3f%00%zz;x//y?q?%23=#"[:-1], b"/%41", b"/a%2e.b", b"/~:@!$&'()*+,=|^`{}[]\"<>"):
        check(sent(site, head(line=b"GET " + target + b" HTTP/1.1")).startswith(b"GET " + target + b" HTTP/1.1\r\n"),
              target)


@case
def http_check_20_responses_stay_with_their_requests(site):
    site.origin.on("/slow", lambda x: (time.sleep(0.3), x.reply(200, {"Cache-Control": "no-store"}, b"slow")))
    with site.edge.http.connect() as c:
        for path in ("/slow", "/quick"):
            c.send_request("GET", path, HOST)
        check_equal([c.read_response().text for _ in range(2)], ["slow", "origin-1 /quick\n"])
    answered(site, OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", then_close=False)
    check_in(b"\r\n\r\nok", tell(site, head(), b""))
    with counted(site.edge, {"edge_upstream_stray_total": len(site.raw.open_sockets())}):
        for sock in site.raw.open_sockets():
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    check(b"poison" not in tell(site, head()), "what came unasked is nobody's")


@case
def http_check_21_what_may_be_sent_twice(site):
    def count(path):
        return sum(origin.count(path) for origin in site.origins[:2])

    def drop(x):
        if count(x.request.path) == 1:
            x.close()
        else:
            x.reply(200, {"Cache-Control": "no-store"}, b"again")
    for method, status, times in (("GET", 200, 2), ("PUT", 200, 2), ("POST", 502, 1), ("PATCH", 502, 1)):
        for origin in site.origins[:2]:
            origin.on(f"/once/{method}", drop)
            origin.on("/begun", lambda x: (x.send(b"HTTP/1.1 2"), x.close()))
        response = site.edge.http.request(method, f"/once/{method}", "two.example.com")
        check_equal((response.status, count(f"/once/{method}")), (status, times), method)
    check_equal((site.edge.get("/begun", "two.example.com").status, count("/begun")), (502, 1))
    # RFC 8470: a proxy in front took it from early data; the origin says that this is too early.
    site.origin.on("/early", lambda x: x.reply(425, {"Cache-Control": "no-store"}, b""))
    check_equal(site.edge.get("/early", headers=[("Early-Data", "1"), ("Early-Data", "0")]).status, 425)
    early = newest(site, "/early")
    check_equal((early.headers["early-data"], site.origin.count("/early")), ("1", 1))
    check("early-data" not in newest(site, "/quick").headers, "nobody else has early data")


@case
def http_check_22_fields_of_one_hop(site):
    site.origin.on("/hop", lambda x: x.reply(200, {"Connection": "X-Mine", "X-Mine": "1", "Keep-Alive": "timeout=5",
                                                   "Proxy-Connection": "close", "Upgrade": "h2c", "X-Yours": "1"}))
    response = site.edge.get("/hop", headers=[
        ("Connection", "X-Mine, Host, Cookie, Authorization, X-Forwarded-For, Content-Length"), ("X-Mine", "1"),
        ("Keep-Alive", "1"), ("TE", "gzip"), ("Proxy-Connection", "x"), ("Upgrade", "h2c"), ("Cookie", "a=b"),
        ("Authorization", "Basic eA=="), ("X-Yours", "1")])
    headers = newest(site, "/hop").headers
    for name in ("connection", "x-mine", "keep-alive", "te", "proxy-connection", "upgrade", "transfer-encoding"):
        check(name not in headers, f"{name} went on: {headers}")
        check_equal(response.header(name), None, name)
    for name in ("host", "cookie", "authorization", "x-forwarded-for", "x-yours"):
        check_in(name, headers)
    check_equal(response.header("x-yours"), "1")


@case
def http_check_23_nominated_fields_are_not_stored(site):
    site.origin.on("/nominated", lambda x: x.reply(200, {
        "Connection": "X-Mine, Cache-Control", "X-Mine": "1", "X-Yours": "1", "Cache-Control": "max-age=60"}))
    for _ in range(2):
        response = site.edge.get("/nominated")
    check_in("hit", response.header("cache-status"))
    check_equal((response.header("x-mine"), response.header("x-yours"), response.header("connection")),
                (None, "1", None))


@case
def http_check_24_interim_responses(site):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\nConnection: X-Mine\r\nX-Mine: 1\r\n\r\n"
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + hints + b"HTTP/1.1 199 Odd\r\nX-Odd: 1\r\n\r\n" + hints + OK
    answer = answered(site, data, then_close=False)
    check_equal(statuses(answer), [103, 199, 103, 200])
    first = answer[:answer.index(b"\r\n\r\n")]
    check(b"Link: </a>" in first and b"Content-Length" not in first and b"X-Mine" not in first, f"{answer!r}")
    site.origin.on("/hinted", lambda x: (
        x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), x.reply(200, {"Cache-Control": "max-age=60"})))
    with site.edge.http.connect() as c:
        c.send(b"GET /hinted HTTP/1.0\r\nHost: www.example.com\r\n\r\n")
        check_equal(statuses(c.read_to_end()), [200], "HTTP/1.0 knows none")
    with site.edge.http.connect() as c:
        c.send_request("GET", "/hinted", HOST)
        check_equal(c.read_response(keep_interim=True).status, 200, "they are not stored")
    check_equal(statuses(answered(site, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                                        b"Connection: upgrade\r\n\r\n", "/unasked")), [502])


@case
def http_check_25_expectations(site):
    for value in (b"200-ok", b"100-continue, 100-continue", b"100-continue\r\nExpect: x"):
        check_refused(site, post(b"Expect: " + value + b"\r\nContent-Length: 2\r\n", b"ok"), 417)
    with site.edge.http.connect() as c:
        c.send(b"POST /expected HTTP/1.1\r\nHost: www.example.com\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
        check_equal(c.read_response(keep_interim=True).status, 100)
        c.send(b"hello")
        check_equal(c.read_response().status, 200)
        check_equal(c.request("GET", "/behind", HOST).text, "origin-1 /behind\n")
    check_equal(newest(site, "/expected").body, b"hello")
    # An answer before the body: the body that was promised may come or not, it is no request.
    with site.edge.http.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: unknown.example\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n")
        check_equal(c.read_response(keep_interim=True).status, 421)
        try:
            c.send(b"GET /smuggled HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        except OSError:
            pass
        c.read_to_end()
    check_equal(site.origin.count("/smuggled"), 0)


@case
def http_check_26_a_tunnel_needs_a_101(site):
    asks = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\n"
    got = sent(site, head(asks, b"GET /pass/ws HTTP/1.1"))  # 200, then the next request
    check_in(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", got)
    for protocol in (b"h2c", b"websocket, h2c", b"foo"):
        check(b"Upgrade" not in sent(site, head(asks.replace(b"websocket", protocol))), protocol)
    check(b"Upgrade" not in sent(site, head(b"Upgrade: websocket\r\n")), "Connection does not name it")
    check(b"Upgrade" not in sent(site, post(asks + b"Content-Length: 2\r\n", b"ok")), "not with a body")


@case
def http_check_27_head(site):
    site.origin.on("/head", lambda x: x.reply(200, {"Cache-Control": "max-age=60", "Content-Length": "5"}, b"hello"))
    with site.edge.http.connect() as c:
        for _ in range(2):
            c.send_request("HEAD", "/head", HOST)
            response = c.read_response("HEAD")
            check_equal((response.status, response.header("content-length")), (200, "5"))
        check_equal(c.request("GET", "/head", HOST).body, b"hello", "the body is not the HEAD's")
    site.origin.on("/head-only", lambda x: x.reply(200, {"Content-Length": "7", "Cache-Control": "no-store"}, b"7 bytes"))
    with site.edge.http.connect() as c:
        c.send_request("HEAD", "/head-only", HOST)
        check_equal(c.read_response("HEAD").header("content-length"), "7")
        check_equal(c.request("GET", "/head-only", HOST).body, b"7 bytes")


@case
def http_check_28_statuses_without_a_body(site):
    for status in (204, 304):
        answer = answered(site, b"HTTP/1.1 %d X\r\nContent-Length: 9\r\nETag: \"x\"\r\n\r\n" % status
                          + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", f"/pass/{status}")
        check_equal(statuses(answer), [status])
        check(answer.endswith(b"\r\n\r\n") and b"poison" not in answer, f"{answer!r}")
        check(status == 304 or b"Content-Length" not in answer, f"{answer!r}")
    def confirm(x):
        if "if-none-match" in x.request.headers:
            x.reply(304, {"ETag": '"v"', "Content-Length": "999", "Cache-Control": "max-age=60"})
        else:
            x.reply(200, {"ETag": '"v"', "Cache-Control": "max-age=0"}, b"hello")
    site.origin.on("/confirmed", confirm)
    for _ in range(2):
        response = site.edge.get("/confirmed")
        check_equal((response.status, response.header("content-length"), response.body), (200, "5", b"hello"))
    check_equal(site.origin.count("/confirmed"), 2)


@case
def http_check_29_max_forwards_and_trace(site):
    for hops, status in (("0", 204), ("1", 200), ("7", 200)):
        check_equal(site.edge.http.request("OPTIONS", f"/hops/{hops}", headers={"Max-Forwards": hops}).status, status)
    check_equal(site.origin.count("/hops/0"), 0)
    check_equal([newest(site, f"/hops/{hops}").headers["max-forwards"] for hops in "17"], ["0", "6"])
    response = site.edge.http.request("TRACE", "/trace", headers={"Cookie": "secret=1", "Max-Forwards": "0"})
    check_equal((response.status, site.origin.count("/trace")), (405, 0))
    check("secret" not in response.text and response.header("allow"), f"{response}")


@case
def http_check_30_via_and_loops(site):
    site.origin.on("/via", lambda x: x.reply(200, {"Via": "1.1 behind", "Cache-Control": "no-store"}))
    response = site.edge.get("/via", headers=[("Via", "1.0 a"), ("Via", "1.1 b (x)"), ("CDN-Loop", "other; v=1")])
    headers = newest(site, "/via").headers
    check_equal((headers["via"], headers["cdn-loop"]), ("1.0 a, 1.1 b (x), 1.1 edge-1", "other; v=1, edge-1"))
    check_equal(response.header("via"), "1.1 behind, 1.1 edge-1")
    check_in(b"\r\nVia: 1.0 edge-1\r\n", answered(site, OK.replace(b"1.1", b"1.0"), "/pass/old"))
    with site.edge.http.connect() as c:
        c.send(b"GET /via HTTP/1.0\r\nHost: www.example.com\r\n\r\n")
        c.read_to_end()
    check_equal(newest(site, "/via").headers["via"], "1.0 edge-1")
    check_equal(site.edge.get("/looped", headers={"CDN-Loop": "other, EDGE-1; x"}).status, 508)
    check_equal(site.origin.count("/looped"), 0)


@case
def http_check_31_date_is_added_and_never_rewritten(site):
    old = "Tue, 15 Nov 1994 08:12:31 GMT"
    for path, age in (("/dated", "no-store"), ("/dated-stored", "max-age=60")):
        site.origin.serve(path, b"x", cache_control=age)
        first = site.edge.get(path).header("date")
        check(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", first or ""), f"{path}: {first}")
        if age != "no-store":
            check_equal(site.edge.get(path).header("date"), first, "of when it was made")
    site.origin.serve("/old", b"x", date=old, cache_control="no-store")
    check_equal(site.edge.get("/old").header("date"), old)
    check(site.edge.get("/", host="unknown.example").header("date"), "on answers of our own")


@case
def http_check_32_who_the_visitor_is(site):
    lies = [("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil"),
            ("X-Forwarded-Ssl", "on"), ("X-Real-IP", "10.0.0.1"), ("Forwarded", "for=10.0.0.1")]
    site.edge.get("/who", headers=lies)
    headers = newest(site, "/who").headers
    check_equal((headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-forwarded-host"]),
                ("127.0.0.1", "http", HOST))
    check("10.0.0.1" not in str(headers), f"{headers}")
    site.edge.get("/who", headers=lies, source=TRUSTED)
    check_equal(newest(site, "/who").headers["x-forwarded-for"], f"10.0.0.1, {TRUSTED}")
    check_equal(statuses(tell(site, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + head())), [400])


@case
def http_check_33_aliases_httpoxy_and_duplicates(site):
    got = sent(site, head(b"X_Forwarded_For: evil\r\nX.Forwarded.For: evil\r\nX-Forwarded~For: evil\r\n"
                          b"Content_Length: evil\r\nTransfer_Encoding: evil\r\nHost_: evil\r\nProxy: evil\r\n"
                          b"Authorization: good\r\nAuthorization: evil\r\nUser-Agent: good\r\nUser-Agent: evil\r\n"
                          b"Accept: good\r\nAccept: good too\r\n"))
    check(b"evil" not in got, f"{got!r}")
    check_equal(got.count(b"good"), 4, f"{got!r}")
    answer = answered(site, OK.replace(b"Content-Length", b"Location: /a\r\nLocation: //evil\r\nContent-Length"))
    check(b"Location: /a\r\n" in answer and b"evil" not in answer, f"{answer!r}")


@case
def the_edge_goes_on(site):
    check_equal(site.edge.get("/after").text, "origin-1 /after\n")
    check_equal(logged(site.edge, "/after")["status"], 200)


main(build)

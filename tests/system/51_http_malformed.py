#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Malformed and ambiguous messages from visitors and from origins. Numbers in names of cases are
those of the list of checks for HTTP. The origin of these tests keeps every byte that it was sent,
so that nothing can pass unseen."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, RawOrigin, counted, edge_site, logged, wait_connections  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, free_port, main, wait_until  # noqa: E402

H = b"Host: www.example.com\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n"


def build():
    raw = RawOrigin(free_port())

    def edit(config, site):
        config["pools"]["app"]["origins"] = [raw.address]
        config["limits"] = {"body-idle": "5s", "head-size": "16KiB"}
    site = edge_site(edit, origins=0, build=lambda site: site.origins.append(raw))
    site.raw = raw
    return site


def get(fields=b"", line=b"GET / HTTP/1.1"):
    return line + b"\r\n" + H + fields + b"\r\n"


def post(fields, body=b""):
    return b"POST / HTTP/1.1\r\n" + H + fields + b"\r\n" + body


CL = b"Content-Length: "
TE = b"Transfer-Encoding: "

# name: (bytes, status, verdict)
HEADS = {
    # framing
    "01 length and coding": (post(CL + b"5\r\n" + TE + b"chunked\r\n", b"0\r\n\r\n"), 400,
                             "content-length-with-transfer-encoding"),
    "01 coding and length": (post(TE + b"chunked\r\n" + CL + b"5\r\n", b"0\r\n\r\n"), 400,
                             "content-length-with-transfer-encoding"),
    "01 length and a coding in capitals": (post(CL + b"5\r\ntRANSFER-eNCODING: chunked\r\n", b"0\r\n\r\n"),
                                           400, "content-length-with-transfer-encoding"),
    "02 two lengths": (post(CL + b"5\r\n" + CL + b"6\r\n", b"hello!"), 400, "content-length-conflict"),
    "02 a list of lengths": (post(CL + b"5, 6\r\n", b"hello!"), 400, "content-length-conflict"),
    "02 an empty length first": (post(CL + b"\r\n" + CL + b"6\r\n", b"hello!"), 400,
                                 "content-length-conflict"),
    "02 an empty length": (post(CL + b"\r\n", b""), 400, "content-length-invalid"),
    "04 two codings": (post(TE + b"chunked\r\n" + TE + b"chunked\r\n", b"0\r\n\r\n"), 400,
                       "transfer-encoding-invalid"),
    "04 another coding": (post(TE + b"gzip, chunked\r\n", b"0\r\n\r\n"), 501, "transfer-encoding-unknown"),
    "05 coding on 1.0": (b"POST / HTTP/1.0\r\n" + H + TE + b"chunked\r\n\r\n0\r\n\r\n", 400,
                         "transfer-encoding-on-http-1.0"),
    # lines
    "06 space before the colon": (get(b"X : 1\r\n"), 400, "space-before-colon"),
    "06 tab before the colon": (get(b"X\t: 1\r\n"), 400, "space-before-colon"),
    "06 space before the length's colon": (post(b"Content-Length : 5\r\n", b"hello"), 400,
                                           "space-before-colon"),
    "06 space before the first field": (b"GET / HTTP/1.1\r\n " + H + b"\r\n", 400, "space-before-first-field"),
    "06 no colon": (get(b"Broken\r\n"), 400, "field-without-colon"),
    "06 an empty name": (get(b": 1\r\n"), 400, "bad-field-name"),
    "07 a folded line": (get(b"X: 1\r\n 2\r\n"), 400, "obs-fold"),
    "07 a folded coding": (post(b"X: 1\r\n " + TE + b"chunked\r\n", b"0\r\n\r\n"), 400, "obs-fold"),
    "08 bare LF after the request line": (b"GET / HTTP/1.1\n" + H + b"\r\n", 400, "bare-cr-or-lf"),
    "08 bare LF after a field": (b"GET / HTTP/1.1\r\nHost: www.example.com\n\r\n", 400, "bare-cr-or-lf"),
    "08 bare LF at the end": (b"GET / HTTP/1.1\r\n" + H + b"\n", 400, "bare-cr-or-lf"),
    "08 bare CR in a value": (get(b"X: a\rb\r\n"), 400, "bare-cr-or-lf"),
    "08 NUL in a value": (get(b"X: a\0b\r\n"), 400, "illegal-byte"),
    "08 NUL in a name": (get(b"X\0Y: 1\r\n"), 400, "illegal-byte"),
    "08 a control byte in a value": (get(b"X: a\x01b\r\n"), 400, "illegal-byte"),
    "08 NUL in the target": (get(line=b"GET /\0 HTTP/1.1"), 400, "illegal-byte"),
    "08 a bracket in a name": (get(b"X[]: 1\r\n"), 400, "bad-field-name"),
    # host
    "16 no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
    "16 two hosts": (get(b"Host: evil.example\r\n"), 400, "host-repeated"),
    "16 the same host twice": (get(H), 400, "host-repeated"),
    "16 a host with a path": (b"GET / HTTP/1.1\r\nHost: www.example.com/x\r\n\r\n", 400, "host-invalid"),
    "16 a host with user": (b"GET / HTTP/1.1\r\nHost: a@www.example.com\r\n\r\n", 400, "host-invalid"),
    "16 an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host-invalid"),
    "16 a port too large": (b"GET / HTTP/1.1\r\nHost: www.example.com:65536\r\n\r\n", 400, "host-invalid"),
    "16 absolute-form with a bad host": (b"GET http://www.example.com/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400,
                                         "host-invalid"),
    "16 absolute-form with user": (get(line=b"GET http://u@www.example.com/ HTTP/1.1"), 400, "bad-authority"),
    # start line
    "18 no method": (get(line=b" / HTTP/1.1"), 400, "bad-method"),
    "18 a method with a bracket": (get(line=b"GE(T / HTTP/1.1"), 400, "bad-method"),
    "18 a long method": (get(line=b"G" * 40 + b" / HTTP/1.1"), 501, "method-too-long"),
    "18 connect": (get(line=b"CONNECT www.example.com:443 HTTP/1.1"), 501, "connect-refused"),
    "19 a fragment": (get(line=b"GET /a#b HTTP/1.1"), 400, "fragment-in-target"),
    "19 a space in the target": (get(line=b"GET /a b HTTP/1.1"), 400, "bad-version"),
    "19 two spaces": (get(line=b"GET  / HTTP/1.1"), 400, "bad-target"),
    "19 a backslash": (get(line=b"GET /a\\b HTTP/1.1"), 400, "backslash-in-path"),
    "19 a tab": (get(line=b"GET /a\tb HTTP/1.1"), 400, None),
    "19 bytes above 127": (get(line=b"GET /\xff HTTP/1.1"), 400, None),
    "19 an asterisk for GET": (get(line=b"GET * HTTP/1.1"), 400, "bad-target-form"),
    "19 another scheme": (get(line=b"GET ftp://www.example.com/ HTTP/1.1"), 400, "bad-target-form"),
    "19 authority-form": (get(line=b"GET www.example.com:80 HTTP/1.1"), 400, None),
    "19 a long target": (get(line=b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414, "target-too-long"),
    "19 HTTP/0.9": (b"GET /\r\n\r\n", 505, "version-unsupported"),
    "19 HTTP/2": (get(line=b"GET / HTTP/2.0"), 505, "version-unsupported"),
    "19 the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version-unsupported"),
    "19 HTTP/1.10": (get(line=b"GET / HTTP/1.10"), 400, "bad-version"),
    "19 a version in lower case": (get(line=b"GET / http/1.1"), 400, "bad-version"),
    # size
    "too many fields": (get(b"".join(b"X-%d: 1\r\n" % i for i in range(101))), 431, "too-many-fields"),
    "a head that is too large": (get(b"X: " + b"a" * 17000 + b"\r\n"), 431, "head-too-large"),
    "a head that never ends": (get()[:-2] + b"X: " + b"a" * 65536, 431, "head-too-large"),
    "leading lines without end": (b"\r\n" * 100 + get(), 400, "too-many-leading-empty-lines"),
    "25 an unknown expectation": (post(b"Expect: 200-ok\r\n" + CL + b"1\r\n", b"x"), 417,
                                  "expectation-unknown"),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, 400, None),
}
HEADS.update({f"03 length {value.decode('latin-1')!r}":
              (post(CL + value + b"\r\n", b"hello"), 400, "content-length-invalid")
              for value in (b"+5", b"-0", b"-5", b"0x5", b"1_0", b"5 5", b"5.0", b"five", b"5;",
                            b"18446744073709551621", b"9" * 40, b"\"5\"")})
HEADS.update({f"04 coding {value.decode('latin-1')!r}":
              (post(TE + value + b"\r\n", b"0\r\n\r\n"), 400, "transfer-encoding-invalid")
              for value in (b"xchunked", b",chunked", b"chunked,", b"chunked;x=1", b"identity",
                            b"chunked, chunked", b"chunked, identity", b"\"chunked\"", b"", b"chunked chunked",
                            b"identity, chunked")})
HEADS.update({f"04 coding {value.decode('latin-1')!r}":
              (post(TE + value + b"\r\n", b"0\r\n\r\n"), 400, None)
              for value in (b"\x0bchunked", b"chunked\x0c", b"chunked\0")})


def tell(site, data):
    """Sends bytes and what a smuggler would hide behind them; all answers until the end."""
    with site.edge.http.connect(timeout_s=6) as c:
        try:
            c.send(data + SMUGGLED)
        except OSError:
            pass    # refused and closed before it could all be sent
        return c.read_to_end()


def statuses(answer):
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.M)]


@case_table(HEADS)
def heads(site, data, status, verdict):
    site.raw.clear()
    wanted = {'responses_total.class="[45]xx"': 1}
    if verdict:
        wanted[f'"{re.escape(verdict)}"'] = 1
    with counted(site.edge, wanted):
        answer = tell(site, data)
    check_equal(statuses(answer), [status], f"answers in {answer!r}")
    check_in(b"Connection: close", answer)
    check(b"evil" not in answer and b"u@" not in answer, "the answer repeats nothing of the request")
    check_equal(site.raw.all_bytes(), b"", "what the origin got")


CHUNKED = post(TE + b"chunked\r\n")
BODIES = {
    "09 a size that is none": (b"xyz\r\nabc\r\n0\r\n\r\n", "chunk-size-invalid"),
    "09 a size of 0x": (b"0x3\r\nabc\r\n0\r\n\r\n", "chunk-size-invalid"),
    "09 a plus": (b"+3\r\nabc\r\n0\r\n\r\n", "chunk-size-invalid"),
    "09 an underscore": (b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n", None),
    "09 a minus": (b"-3\r\nabc\r\n0\r\n\r\n", "chunk-size-invalid"),
    "09 a leading space": (b" 3\r\nabc\r\n0\r\n\r\n", "chunk-size-invalid"),
    "09 a trailing space": (b"3 \r\nabc\r\n0\r\n\r\n", None),
    "09 an empty size": (b"\r\nabc\r\n0\r\n\r\n", "chunk-size-invalid"),
    "09 overflow of 64 bits": (b"10000000000000003\r\nabc\r\n0\r\n\r\n", "chunk-size-overflow"),
    "09 a sign bit": (b"8000000000000003\r\nabc\r\n0\r\n\r\n", "chunk-size-overflow"),
    "09 zeros without end": (b"0" * 100 + b"3\r\nabc\r\n0\r\n\r\n", "chunk-size-overflow"),
    "10 bare LF after the size": (b"3\nabc\r\n0\r\n\r\n", None),
    "10 bare LF in an extension": (b"3;a\nb\r\nabc\r\n0\r\n\r\n", None),
    "10 bare CR in an extension": (b"3;a\rb\r\nabc\r\n0\r\n\r\n", None),
    "10 NUL in an extension": (b"3;a\0b\r\nabc\r\n0\r\n\r\n", None),
    "10 an extension without end": (b"3;" + b"a" * 1000 + b"\r\nabc\r\n0\r\n\r\n", "chunk-extension-too-long"),
    "11 data longer than the size": (b"3\r\nabcd\r\n0\r\n\r\n", "chunk-not-ended-by-crlf"),
    "11 two other bytes after the data": (b"3\r\nabcXX0\r\n\r\n", "chunk-not-ended-by-crlf"),
    "11 LF only after the data": (b"3\r\nabc\n0\r\n\r\n", None),
    "11 CR only after the data": (b"3\r\nabc\r0\r\n\r\n", None),
    "12 a trailer without colon": (b"3\r\nabc\r\n0\r\nX\r\n\r\n", "field-without-colon"),
    "12 a trailer with NUL": (b"3\r\nabc\r\n0\r\nX: \0\r\n\r\n", "illegal-byte"),
    "12 a folded trailer": (b"3\r\nabc\r\n0\r\nX: 1\r\n 2\r\n\r\n", None),
    "12 trailers without end": (b"3\r\nabc\r\n0\r\nX: " + b"a" * 9000 + b"\r\n\r\n", "trailer-too-large"),
}


@case_table(BODIES)
def bodies(site, body, verdict):
    """The head has been sent on when the body turns out broken: the origin must neither see an end
    of that body nor anything behind it."""
    site.raw.clear()
    site.raw.answer = None
    wanted = {'responses_total.class="4xx"': 1}
    if verdict:
        wanted[f'"{re.escape(verdict)}"'] = 1
    try:
        with counted(site.edge, wanted):
            answer = tell(site, CHUNKED + body)
    finally:
        site.raw.answer = RawOrigin.OK
    check(len(statuses(answer)) == 1 and statuses(answer)[0] in (400, 413, 431), f"answers: {answer!r}")
    got = site.raw.all_bytes()
    check(b"smuggled" not in got, f"the origin got {got!r}")
    check(not got.endswith(b"\r\n0\r\n\r\n"), f"the origin saw an end: {got!r}")
    wait_until(lambda: not site.raw.open_sockets(), "the connection to the origin to be closed")


@case
def bodies_that_break_late_in_pieces(site):
    site.raw.clear()
    site.raw.answer = None
    try:
        with site.edge.http.connect() as c:
            c.send(CHUNKED + b"3\r\nabc\r\n")
            wait_until(lambda: b"abc" in site.raw.all_bytes(), "the first chunk to arrive")
            c.send(b"nonsense\r\n")
            check_equal(statuses(c.read_to_end()), [400])
    finally:
        site.raw.answer = RawOrigin.OK
    check(b"nonsense" not in site.raw.all_bytes(), "the origin got no nonsense")


@case_table({
    "18 a short method": (get(line=b"X / HTTP/1.1"), b"X / HTTP/1.1"),
    "15 a length for GET": (get(CL + b"0\r\n"), b"GET / HTTP/1.1"),
    "16 an empty path": (get(line=b"GET http://www.example.com HTTP/1.1"), b"GET / HTTP/1.1"),
    "16 an empty path with a query": (get(line=b"GET http://www.example.com?a HTTP/1.1"), b"GET /?a HTTP/1.1"),
    "19 a long query": (get(line=b"GET /?" + b"a" * 4000 + b" HTTP/1.1"), b"GET /?" + b"a" * 4000 + b" HTTP/1.1"),
    "33 HTTPoxy": (get(b"Proxy: http://evil/\r\n"), b"GET / HTTP/1.1"),
    "33 underscores": (get(b"X_Forwarded_For: evil\r\nContent_Length: evil\r\n"), b"GET / HTTP/1.1"),
    "a quoted value": (get(b'X: "a\\"b\xe9"\r\n'), b"GET / HTTP/1.1"),
    "an empty value": (get(b"X:\r\n"), b"GET / HTTP/1.1"),
})
def strange_but_valid(site, data, line):
    site.raw.clear()
    with site.edge.http.connect() as c:
        c.send(data + SMUGGLED)
        check_equal(c.read_response().body, b"ok")
        check_equal(c.read_response().body, b"ok", "the next request is the next request")
    got = site.raw.all_bytes()
    check(got.startswith(line + b"\r\n"), f"{got[:200]!r}")
    check_equal(site.raw.heads(), 2)
    check(b"evil" not in got, f"{got!r}")


@case
def dots_in_paths_are_refused(site):
    for path in ("/../x", "/a/./b", "/%2e%2e/x", "/a/.%2E"):
        site.raw.clear()
        check_equal(site.edge.http.get(path).status, 400, path)
        check_equal(site.raw.all_bytes(), b"")


@case
def a_refused_request_is_in_the_log_and_answers_are_for_nobody_else(site):
    answer = tell(site, get(b"X : 1\r\n"))
    check_in(b"Cache-Control: no-store", answer)
    check_equal(site.edge.http.get("/a/../b").status, 400)
    check_equal(logged(site.edge, "/a/../b")["status"], 400)


@case
def the_edge_goes_on_serving(site):
    wait_connections(site.edge, 0)
    with site.edge.http.connect() as c:
        for _ in range(3):
            check_equal(c.request("GET", "/", HOST).body, b"ok")


# ---- Answers of origins

R = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
SECRET = b"X-Secret-Stack: 10.1.2.3\r\n"

ANSWERS = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/0.9": b"<html>10.1.2.3</html>\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n" + SECRET + b"\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n" + SECRET + b"\r\n",
    "a status of 999": b"HTTP/1.1 999 No\r\n" + SECRET + CL + b"0\r\n\r\n",
    "01 coding on 1.0": b"HTTP/1.0 200 OK\r\n" + SECRET + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "02 two lengths": R + SECRET + CL + b"2\r\n" + CL + b"3\r\n\r\nokk",
    "02 a list of lengths": R + CL + b"2, 3\r\n\r\nokk",
    "03 a length with a sign": R + CL + b"+2\r\n\r\nok",
    "03 a length without end": R + CL + b"9" * 30 + b"\r\n\r\nok",
    "04 an unknown coding": R + TE + b"xchunked\r\n\r\n0\r\n\r\n",
    "04 coded twice": R + TE + b"chunked\r\n" + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "06 space before the colon": R + b"X : 1\r\n" + CL + b"2\r\n\r\nok",
    "06 no colon": R + SECRET + b"broken\r\n" + CL + b"2\r\n\r\nok",
    "08 NUL in a value": R + b"X: a\0b\r\n" + CL + b"2\r\n\r\nok",
    "08 bare CR in a value": R + b"X: a\rSet-Cookie: b\r\n" + CL + b"2\r\n\r\nok",
    "08 bare LF in the head": R + b"X: a\n" + CL + b"2\r\n\r\nok",
    "a head without end": R + b"X: " + b"a" * 70000,
    "too many fields": R + b"".join(b"X-%d: 1\r\n" % i for i in range(300)) + CL + b"2\r\n\r\nok",
    "nothing at all": b"",
    "half a head": R + SECRET,
    "24 interim without end": b"HTTP/1.1 100 Continue\r\n\r\n",
}


def with_answer(site, answer):
    site.raw.drop_connections()
    wait_until(lambda: not site.raw.open_sockets(), "the origin's connections to end")
    site.raw.answer, site.raw.then_close = answer, True


@case_table(ANSWERS)
def answers(site, answer):
    path = f"/answer/{abs(hash(answer))}"
    with_answer(site, answer)
    try:
        with counted(site.edge, {"edge_own_errors_total": 1}):
            got = tell(site, get(line=b"GET " + path.encode() + b" HTTP/1.1", fields=b"Connection: close\r\n"))
    finally:
        with_answer(site, RawOrigin.OK)
        site.raw.then_close = False
    check_equal(statuses(got), [502], f"{got!r}")
    for secret in (b"10.1.2.3", b"127.0.0.1", b"X-Secret", str(site.raw.address).encode(), b"SSH"):
        check(secret not in got, f"{secret!r} in {got!r}")
    check_equal(site.edge.http.get(path).body, b"ok", "it was not cached")


@case_table({
    "13 a body cut short": R + CL + b"100\r\n\r\nhalf",
    "13 chunks cut short": R + TE + b"chunked\r\n\r\n4\r\nhalf\r\n",
    "13 a chunk cut short": R + TE + b"chunked\r\n\r\n64\r\nhalf",
    "09 a bad first chunk": R + TE + b"chunked\r\n\r\nxyz\r\n",
    "09 a bad chunk behind a good one": R + TE + b"chunked\r\n\r\n4\r\nhalf\r\nzzz\r\n",
    "11 data longer than its chunk": R + TE + b"chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n",
})
def answers_that_break_off(site, answer):
    """The client must see that it is not whole, and nobody else must get it."""
    path = f"/broken/{abs(hash(answer))}"
    with_answer(site, answer)
    try:
        with counted(site.edge, {"edge_responses_aborted_total": 1}):
            with site.edge.http.connect() as c:
                c.send_request("GET", path, HOST)
                try:
                    response = c.read_response()
                    check(False, f"taken for whole: {response}")
                except OSError:
                    pass
    finally:
        with_answer(site, RawOrigin.OK)
        site.raw.then_close = False
    check_equal(site.edge.http.get(path).body, b"ok", "it was not cached")


@case
def coding_beats_length_in_answers(site):
    """checks/http.md 1: the length is dropped and the connection is not used again."""
    with_answer(site, R + CL + b"100\r\n" + TE + b"chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    site.raw.then_close = False
    try:
        response = site.edge.http.get("/both")
    finally:
        with_answer(site, RawOrigin.OK)
        site.raw.then_close = False
    check_equal((response.body, response.header("content-length")), (b"ok", None))


@case
def folded_lines_in_answers_are_joined(site):
    """checks/http.md 7."""
    with_answer(site, R + b"X-Folded: a\r\n  b\r\n" + CL + b"2\r\n\r\nok")
    try:
        response = site.edge.http.get("/folded")
    finally:
        with_answer(site, RawOrigin.OK)
        site.raw.then_close = False
    check_equal(re.sub(r" +", " ", response.header("x-folded")), "a b")


@case
def bytes_after_an_answer_are_nobodys(site):
    """checks/http.md 20: what an origin sends unasked does not become the next answer."""
    with_answer(site, RawOrigin.OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    site.raw.then_close = False
    try:
        for i in range(4):
            check_equal(site.edge.http.get(f"/stray/{i}").body, b"ok")
    finally:
        with_answer(site, RawOrigin.OK)
        site.raw.then_close = False


@case
def bytes_on_an_idle_connection_close_it(site):
    """checks/http.md 20."""
    check_equal(site.edge.http.get("/idle").body, b"ok")
    with counted(site.edge, {"edge_upstream_stray_total": len(site.raw.open_sockets())}):
        for sock in site.raw.open_sockets():
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    check_equal(site.edge.http.get("/idle/2").body, b"ok")


main(build)

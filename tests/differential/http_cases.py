# SPDX-License-Identifier: BSD-2-Clause
"""Requests and answers that two parsers may read differently, by name: what smugglers, fuzzers and the
public lists of framing bugs have sent. Numbers in names are those of the list of checks of HTTP.

REQUESTS: {name: bytes}; whoever plays them sends a second, plain request behind each.
ANSWERS: {name: (method of the request, bytes)}; what an origin sends before it closes.
"""

HOST = b"Host: a.test\r\n"
CL, TE = b"Content-Length: ", b"Transfer-Encoding: "
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"
REQUESTS, ANSWERS = {}, {}


def text(value):
    return value.decode("latin-1").encode("unicode_escape").decode() if len(value) < 40 else \
        f"{text(value[:16])}… ({len(value)} bytes)"


def request(name, fields=b"", body=b"", line=b"POST / HTTP/1.1\r\n", host=HOST, end=b"\r\n"):
    assert name not in REQUESTS, name
    REQUESTS[name] = line + host + fields + end + body


def get(name, fields=b"", line=b"GET / HTTP/1.1\r\n", host=HOST, end=b"\r\n"):
    request(name, fields, b"", line, host, end)


def answer(name, fields=b"", body=b"", line=b"HTTP/1.1 200 OK\r\n", method=b"GET", end=b"\r\n"):
    assert name not in ANSWERS, name
    ANSWERS[name] = (method, line + fields + end + body)


def chunked(name, body):
    """The same body from a visitor and from an origin."""
    request(name, TE + b"chunked\r\n", body)
    answer(name, TE + b"chunked\r\n", body)


# ---- Plain ones, so that it shows when a server answers nothing at all

get("00 plain")
request("00 with a length", CL + b"5\r\n", b"hello")
request("00 chunked", TE + b"chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")
answer("00 plain", CL + b"2\r\n", b"ok")
answer("00 chunked", TE + b"chunked\r\n", b"2\r\nok\r\n0\r\n\r\n")
answer("00 until it closes", b"", b"ok")
answer("00 HEAD", CL + b"2\r\n", method=b"HEAD")

# ---- 1: a length and a coding

LAST = b"0\r\n\r\n"
for what, fields in {
        "length, coding": CL + b"5\r\n" + TE + b"chunked\r\n",
        "coding, length": TE + b"chunked\r\n" + CL + b"5\r\n",
        "length 0, coding": CL + b"0\r\n" + TE + b"chunked\r\n",
        "odd case": b"cONTENT-lENGTH: 5\r\ntRANSFER-eNCODING: chunked\r\n",
        "length, unknown coding": CL + b"5\r\n" + TE + b"xchunked\r\n",
        "length, identity": CL + b"5\r\n" + TE + b"identity\r\n",
        "length, empty coding": CL + b"5\r\n" + TE + b"\r\n",
        "length, coding with a space before the colon": CL + b"5\r\nTransfer-Encoding : chunked\r\n",
        "length, coding with a tab before the colon": CL + b"5\r\nTransfer-Encoding\t: chunked\r\n",
        "length, coding behind a line with NUL": CL + b"5\r\nX: \0\r\n" + TE + b"chunked\r\n",
        "length, coding in a folded line": CL + b"5\r\nX: 1\r\n " + TE + b"chunked\r\n",
        "length, coding folded itself": CL + b"5\r\nTransfer-Encoding:\r\n chunked\r\n",
        "length, coding behind a bare LF": CL + b"5\r\nX: 1\n" + TE + b"chunked\r\n",
        "length, coding behind a bare CR": CL + b"5\r\nX: 1\r" + TE + b"chunked\r\n",
        "length, Transfer_Encoding": CL + b"5\r\nTransfer_Encoding: chunked\r\n",
        "length, Transfer.Encoding": CL + b"5\r\nTransfer.Encoding: chunked\r\n",
        "coding, Content_Length": TE + b"chunked\r\nContent_Length: 5\r\n",
        "length, \\x85 before the coding": CL + b"5\r\n" + TE + b"\x85chunked\r\n",
        "length, \\xa0 before the coding": CL + b"5\r\n" + TE + b"\xa0chunked\r\n",
        "length, coding nominated by Connection": CL + b"5\r\n" + TE + b"chunked\r\nConnection: Transfer-Encoding\r\n",
        "length nominated by Connection": CL + b"5\r\nConnection: Content-Length\r\n"}.items():
    request(f"01 {what}", fields, LAST + b"X" if b"hunked" in fields else b"hello")
    answer(f"01 {what}", fields, LAST + b"X" if b"hunked" in fields else b"hello")

# ---- 2: several lengths

for what, fields in {
        "5, then 6": CL + b"5\r\n" + CL + b"6\r\n", "6, then 5": CL + b"6\r\n" + CL + b"5\r\n",
        "a list 5, 6": CL + b"5, 6\r\n", "a list 5, 5": CL + b"5, 5\r\n", "a list 5,": CL + b"5,\r\n",
        "a list ,5": CL + b",5\r\n", "5 twice": CL + b"5\r\n" + CL + b"5\r\n",
        "empty, then 5": CL + b"\r\n" + CL + b"5\r\n", "5, then empty": CL + b"5\r\n" + CL + b"\r\n",
        "5, then 05": CL + b"5\r\n" + CL + b"05\r\n", "0, then 5": CL + b"0\r\n" + CL + b"5\r\n",
        "5, then 0": CL + b"5\r\n" + CL + b"0\r\n"}.items():
    request(f"02 {what}", fields, b"hello!")
    answer(f"02 {what}", fields, b"hello!")

# ---- 3: odd lengths

for value in (b"+5", b"-5", b"-0", b"0x5", b"0X5", b"5x", b"5 5", b"5.0", b"5e0", b"1_0", b"5;", b"\"5\"", b"",
              b" ", b"five", b"5\x0b", b"5\x0c", b"\x0b5", b"5\0", b"\0005", b"5\x00", b"\xb2", b"\xef\xbc\x95", b"05",
              b"0" * 30 + b"5", b"4294967301", b"18446744073709551621", b"9223372036854775813", b"9" * 40, b"5\r",
              b"5 \t ", b"5,", b"5\xa0"):
    name = f"03 length {text(value)!r}"
    if name not in REQUESTS:
        request(name, CL + value + b"\r\n", b"hello")
        answer(name, CL + value + b"\r\n", b"hello")

# ---- 4, 5: odd codings

for value in (b"CHUNKED", b" chunked", b"\tchunked", b"chunked ", b"xchunked", b"chunkedx", b",chunked", b"chunked,",
              b"chunked;x=1", b"chunked;q=0", b"identity", b"chunked, chunked", b"chunked, identity",
              b"identity, chunked", b"gzip, chunked", b"gzip", b"chunked, gzip", b"\"chunked\"", b"'chunked'", b"",
              b"chunked chunked", b"\x0bchunked", b"chunked\x0c", b"chunked\0", b"\0chunked", b"chun\0ked",
              b"chunked\r\n" + TE + b"chunked", b"chunked\r\n" + TE + b"identity", b"identity\r\n" + TE + b"chunked",
              b"gzip\r\n" + TE + b"chunked", b"cow\r\n" + TE + b"chunked", b"\r\n chunked", b"chunked\r", b"c\xc3\xadunked",
              b"chunKed"[:4] + b"\xe2\x84\xaa" + b"ed", b"trailers", b"chunked\x1f", b"\xffchunked", b"cHuNkEd"):
    request(f"04 coding {text(value)!r}", TE + value + b"\r\n", LAST)
    answer(f"04 coding {text(value)!r}", TE + value + b"\r\n", b"2\r\nok\r\n" + LAST)
for connection in (b"", b"Connection: keep-alive\r\n"):
    request(f"05 chunked on 1.0 {text(connection)}", connection + TE + b"chunked\r\n", LAST,
            line=b"POST / HTTP/1.0\r\n")
    answer(f"05 chunked on 1.0 {text(connection)}", connection + TE + b"chunked\r\n", b"2\r\nok\r\n" + LAST,
           line=b"HTTP/1.0 200 OK\r\n")
request("05 length and coding on 1.0", CL + b"5\r\n" + TE + b"chunked\r\n", LAST, line=b"POST / HTTP/1.0\r\n")

# ---- 6, 7, 8: lines

for what, fields in {
        "06 space before a colon": b"X : 1\r\n", "06 tab before a colon": b"X\t: 1\r\n",
        "06 space before the colon of a length": b"Content-Length : 5\r\n",
        "06 a line without colon": b"X\r\n", "06 a length without colon": b"Content-Length 5\r\n",
        "06 an empty name": b": 1\r\n", "06 a space in a name": b"X Y: 1\r\n", "06 only white space": b" \r\n",
        "06 a request line as a field": b"GET /hidden HTTP/1.1\r\n",
        "07 a folded value": b"X: a\r\n b\r\n", "07 folded by a tab": b"X: a\r\n\tb\r\n",
        "07 folded into nothing": b"X: a\r\n \r\n", "07 folded at once": b"X:\r\n a\r\n",
        "07 a folded length": b"Content-Length:\r\n 5\r\n", "07 a folded Host": b"X: 1\r\n Host: evil\r\n",
        "08 bare LF between lines": b"X: a\nY: b\r\n", "08 bare LF hides a Host": b"X: a\nHost: evil\r\n",
        "08 bare CR in a value": b"X: a\rY: b\r\n", "08 bare CR before CRLF": b"X: a\r\r\n",
        "08 bare CR in a name": b"X\rY: b\r\n", "08 NUL in a value": b"X: a\0b\r\n", "08 NUL in a name": b"X\0: b\r\n",
        "08 VT in a value": b"X: a\x0bb\r\n", "08 DEL in a value": b"X: a\x7fb\r\n", "08 ESC in a value": b"X: \x1b[1m\r\n",
        "08 LF CR": b"X: a\n\rY: b\r\n", "08 a byte above 127 in a value": b"X: \xff\xfe\r\n",
        "08 a byte above 127 in a name": b"X\xff: 1\r\n", "08 U+010A, which is LF if cut": b"X: a\xc4\x8ab\r\n"}.items():
    get(what, fields)
    answer(what, fields + CL + b"2\r\n", b"ok")
get("06 space before the first field", host=b" X: 1\r\n" + HOST)
get("06 tab before the first field", host=b"\tX: 1\r\n" + HOST)
get("06 the first field is a folded Host", host=b" Host: a.test\r\n")
REQUESTS["08 LF everywhere"] = b"GET / HTTP/1.1\nHost: a.test\n\n"
REQUESTS["08 LF at the end of the head"] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\n"
REQUESTS["08 CR everywhere"] = b"GET / HTTP/1.1\rHost: a.test\r\r"
REQUESTS["08 LF LF hides a second request"] = b"GET / HTTP/1.1\r\nHost: a.test\r\nX: 1\n\nGET /hidden HTTP/1.1\r\n\r\n"
ANSWERS["08 LF everywhere"] = (b"GET", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
ANSWERS["08 LF at the end of the head"] = (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok")
ANSWERS["08 LF LF hides an answer"] = (b"GET", b"HTTP/1.1 200 OK\r\nX: 1\n\nContent-Length: 2\r\n\r\nok")
answer("06 space before the first field", b" X: 1\r\n" + CL + b"2\r\n", b"ok")
for number, lines in enumerate((b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" \r\n", b"\0\r\n", b"\r\n" * 50)):
    REQUESTS[f"08 before the request: {text(lines)!r}"] = lines + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"

# ---- 9, 10, 11, 12: chunks

for size in (b"0x2", b"0X2", b"+2", b"-2", b" 2", b"\t2", b"2 ", b"2\t", b"02", b"0" * 20 + b"2", b"1_0", b"", b"g",
             b"2g", b"2.0", b"2,", b"\"2\"", b"2\0", b"\0002", b"100000002", b"10000000000000002", b"8000000000000002",
             b"ffffffffffffffff", b"-1", b"2\xa0", b"\xb2", b"2\x0b"):
    chunked(f"09 size {text(size)!r}", size + b"\r\nok\r\n" + LAST)
chunked("09 last size 00", b"2\r\nok\r\n00\r\n\r\n")
chunked("09 last size 0000000000000000000", b"2\r\nok\r\n0000000000000000000\r\n\r\n")
chunked("09 last size -0", b"2\r\nok\r\n-0\r\n\r\n")
chunked("09 last size empty", b"2\r\nok\r\n\r\n\r\n")
chunked("09 size in capitals", b"A\r\n0123456789\r\n" + LAST)
for extension in (b";a", b";a=b", b";a=\"b\"", b';a="b\r\n"', b" ;a", b"; a = b", b";", b";;", b";a=\"b;c", b"\t;a", b";\0",
                  b";a\nb", b";a\rb", b";a\x7f", b";a\xff", b";" + b"a" * 200, b";" + b"a" * 20000, b" a", b";a\r", b";a\n",
                  b";\x0b"):
    chunked(f"10 extension {text(extension)!r}", b"2" + extension + b"\r\nok\r\n" + LAST)
chunked("10 an extension of the last chunk", b"2\r\nok\r\n0;a=b\r\n\r\n")
chunked("10 LF after an extension", b"2;a\nok\r\n" + LAST)
chunked("10 LF in an extension hides a chunk", b"2;\nxx\r\n22\r\nok\r\n" + LAST)
for name, body in {
        "LF after the size": b"2\nok\r\n" + LAST, "CR after the size": b"2\rok\r\n" + LAST,
        "LF after the data": b"2\r\nok\n" + LAST, "CR after the data": b"2\r\nok\r" + LAST,
        "nothing after the data": b"2\r\nok" + LAST, "two other bytes after the data": b"2\r\nokXX" + LAST,
        "LF CR after the data": b"2\r\nok\n\r" + LAST, "more data than the size": b"2\r\nokay\r\n" + LAST,
        "less data than the size": b"4\r\nok\r\n" + LAST, "CR CR LF after the size": b"2\r\r\nok\r\n" + LAST,
        "CR LF CR LF after the data": b"2\r\nok\r\n\r\n" + LAST, "LF after the last chunk": b"2\r\nok\r\n0\n\r\n",
        "LF at the end": b"2\r\nok\r\n0\r\n\n", "LF LF at the end": b"2\r\nok\r\n0\n\n", "CR CR at the end": b"2\r\nok\r\n0\r\r",
        "a space before the data": b"2\r\n ok\r\n" + LAST, "bytes after the end": b"2\r\nok\r\n" + LAST + b"junk"}.items():
    chunked(f"11 {name}", body)
for name, trailer in {
        "one": b"X: 1\r\n", "a length": b"Content-Length: 9\r\n", "a coding": b"Transfer-Encoding: chunked\r\n",
        "Host": b"Host: evil\r\n", "Authorization": b"Authorization: evil\r\n", "Set-Cookie": b"Set-Cookie: evil\r\n",
        "X-Forwarded-For": b"X-Forwarded-For: 10.0.0.1\r\n", "Cache-Control": b"Cache-Control: max-age=9\r\n",
        "without colon": b"X\r\n", "a space before the colon": b"X : 1\r\n", "folded": b"X: 1\r\n 2\r\n", "NUL": b"X: \0\r\n",
        "LF": b"X: 1\n", "a request line": b"GET /hidden HTTP/1.1\r\nHost: a.test\r\n", "too large": b"X: " + b"a" * 70000 + b"\r\n",
        "too many": b"X: 1\r\n" * 300}.items():
    chunked(f"12 trailer: {name}", b"2\r\nok\r\n0\r\n" + trailer + b"\r\n")

# ---- 13: broken off (nothing comes behind it)

for name, fields, body in (("length", CL + b"100\r\n", b"half"), ("chunk", TE + b"chunked\r\n", b"64\r\nhalf"),
                           ("chunks", TE + b"chunked\r\n", b"4\r\nhalf\r\n"), ("size", TE + b"chunked\r\n", b"4\r\nhalf\r\n1"),
                           ("last chunk", TE + b"chunked\r\n", b"4\r\nhalf\r\n0\r\n")):
    answer(f"13 broken off: {name}", fields, body)
ANSWERS["13 broken off: head"] = (b"GET", b"HTTP/1.1 200 OK\r\nX: ")
ANSWERS["13 broken off: empty"] = (b"GET", b"")

# ---- 14, 15: bodies where there are none

for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"FOO"):
    name = method.decode()
    request(f"15 {name} with a length", CL + b"%d\r\n" % len(HIDDEN), HIDDEN, line=method + b" / HTTP/1.1\r\n")
    request(f"15 {name} chunked", TE + b"chunked\r\n", b"2\r\nok\r\n" + LAST, line=method + b" / HTTP/1.1\r\n")
    request(f"15 {name} with length 0", CL + b"0\r\n", line=method + b" / HTTP/1.1\r\n")
request("15 POST without framing", b"", b"")
request("15 PUT without framing", b"", b"", line=b"PUT / HTTP/1.1\r\n")

# ---- 16: hosts

for name, host in {
        "none": b"", "empty": b"Host:\r\n", "twice the same": HOST + HOST, "two": HOST + b"Host: evil\r\n",
        "two, in two cases": b"host: evil\r\n" + HOST, "a list": b"Host: a.test, evil\r\n", "a space": b"Host: a.test evil\r\n",
        "userinfo": b"Host: evil@a.test\r\n", "a path": b"Host: a.test/evil\r\n", "a query": b"Host: a.test?evil\r\n",
        "a fragment": b"Host: a.test#evil\r\n", "a backslash": b"Host: a.test\\evil\r\n", "a port that is none": b"Host: a.test:evil\r\n",
        "an empty port": b"Host: a.test:\r\n", "port 0": b"Host: a.test:0\r\n", "port 65616": b"Host: a.test:65616\r\n",
        "port +80": b"Host: a.test:+80\r\n", "two ports": b"Host: a.test:80:80\r\n", "NUL": b"Host: a.test\0evil\r\n",
        "a bracket": b"Host: [::1\r\n", "IPv6": b"Host: [::1]\r\n", "rubbish in brackets": b"Host: [evil]\r\n", "percent": b"Host: a%2etest\r\n",
        "capitals": b"Host: A.TEST\r\n", "a dot at the end": b"Host: a.test.\r\n", "above 127": b"Host: \xe4.test\r\n",
        "angle brackets": b"Host: <a.test>\r\n", "quoted": b"Host: \"a.test\"\r\n", "very long": b"Host: " + b"a" * 5000 + b"\r\n",
        "a space before the colon": b"Host : a.test\r\n", "folded": b"Host:\r\n a.test\r\n", "Host_": HOST + b"Host_: evil\r\n"}.items():
    get(f"16 host: {name}", host=host)
for target in (b"http://a.test", b"http://a.test/", b"http://a.test?q", b"HTTP://A.TEST/", b"https://a.test/", b"http://b.test/",
               b"http://a.test:80/", b"http://a.test:8080/", b"http://u:p@a.test/", b"http:///", b"http://", b"http:/a.test/",
               b"http:a.test/", b"ftp://a.test/", b"http://a.test\\/", b"http://a.test#x", b"//a.test/", b"http://[::1]/", b"http://a test/",
               b"http://a.test:/", b"http://a.test:x/"):
    get(f"16 target {text(target)!r}", line=b"GET " + target + b" HTTP/1.1\r\n")
get("16 absolute form without Host", line=b"GET http://a.test/ HTTP/1.1\r\n", host=b"")
get("16 absolute form, other Host", line=b"GET http://a.test/ HTTP/1.1\r\n", host=b"Host: evil\r\n")
get("16 absolute form, two Hosts", line=b"GET http://a.test/ HTTP/1.1\r\n", host=HOST + HOST)
get("16 HTTP/1.0 without Host", line=b"GET / HTTP/1.0\r\n", host=b"")

# ---- 18: methods; 19: targets and versions

for method in (b"get", b"Get", b"GETX", b"GE", b"G\0ET", b"GE T", b"GET\t", b"\tGET", b" GET", b"GE(T", b"GE:T", b"\xc7ET", b"", b"PRI",
               b"M" * 300, b"PURGE", b"'GET'", b"GET,POST", b"BAN"):
    get(f"18 method {text(method)!r}", line=method + b" / HTTP/1.1\r\n")
REQUESTS["18 CONNECT"] = b"CONNECT a.test:443 HTTP/1.1\r\n" + HOST + b"\r\n"
REQUESTS["18 CONNECT in origin-form"] = b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n"
for target in (b"", b"a", b"*", b"/a b", b"/a\tb", b"/a\x0bb", b"/a\x0cb", b"/a\0b", b"/a\rb", b"/a\nb", b"/a#b", b"/a\\b", b"/\xff", b"/\xc3\xa9", b"/\x7f",
               b"/\x01", b"/a?b?c", b"/?", b"/%", b"/%zz", b"/%00", b"/%0d%0aX:1", b"/a%2fb", b"/./a", b"/a/../b", b"/..", b"/%2e%2e/a", b"/a/..;/b",
               b"//", b"///a", b"/" + b"a" * 9000, b"?a", b"/ HTTP/1.1", b"/<>\"{}|^`", b"/a;b", b"/a%23b", b"/.%2e"):
    get(f"19 target {text(target)!r}", line=b"GET " + target + b" HTTP/1.1\r\n")
for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/11", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1", b"http/1.1",
                b"HTTP /1.1", b"HTTP/1.1 ", b" HTTP/1.1", b"\tHTTP/1.1", b"HTTP/1.1\t", b"HTTP/1.1\0", b"XTTP/1.1", b"HTTP/1,1", b"HTTP/+1.1", b"HTTP/1.1 x", b""):
    get(f"19 version {text(version)!r}", line=b"GET / " + version + b"\r\n")
REQUESTS["19 HTTP/0.9"] = b"GET /\r\n"
REQUESTS["19 HTTP/0.9 with fields"] = b"GET /\r\n" + HOST + b"\r\n"
REQUESTS["19 the preface of HTTP/2"] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUESTS["19 TLS"] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40
get("19 tab instead of a space", line=b"GET\t/\tHTTP/1.1\r\n")
get("19 VT instead of a space", line=b"GET\x0b/\x0bHTTP/1.1\r\n")

# ---- 20: pipelines

REQUESTS["20 two at once"] = (b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n") * 2
REQUESTS["20 a body, then another"] = b"POST /1 HTTP/1.1\r\n" + HOST + CL + b"5\r\n\r\nhello" + HIDDEN
REQUESTS["20 empty lines in between"] = b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n\r\n\r\n"
request("20 close, and another behind it", b"Connection: close\r\n", HIDDEN, line=b"GET / HTTP/1.1\r\n")
answer("20 a second answer behind it", CL + b"2\r\n", b"okHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
answer("20 a second answer behind chunks", TE + b"chunked\r\n", b"2\r\nok\r\n" + LAST + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
answer("20 bytes behind the body", CL + b"2\r\n", b"okjunk")

# ---- 22, 23, 33: fields

for connection in (b"close, Host", b"Content-Length", b"Transfer-Encoding", b"Cookie", b"X-Forwarded-For", b"\"close\"", b"close\0", b"X-A,,X-B", b",", b"*",
                   b"close;x", b"keep-alive, close", b"a" * 5000):
    request(f"22 Connection: {text(connection)}", b"Connection: " + connection + b"\r\nX-A: 1\r\nCookie: a=b\r\n" + CL + b"5\r\n", b"hello")
for field in (b"TE: trailers, chunked", b"Keep-Alive: timeout=1", b"Proxy-Connection: close", b"Trailer: Host", b"Upgrade: h2c", b"Proxy: evil",
              b"X_Forwarded_For: evil", b"X.Forwarded.For: evil", b"Content_Length: 9", b"Proxy-Authorization: Basic eA==", b"HTTP2-Settings: AA"):
    get(f"22 {text(field)}", field + b"\r\n")
for name, fields in {
        "33 two Authorizations": b"Authorization: a\r\nAuthorization: b\r\n", "33 two Content-Types": b"Content-Type: a/a\r\nContent-Type: b/b\r\n",
        "33 two Cookies": b"Cookie: a=1\r\nCookie: b=2\r\n", "33 two unknown": b"X: 1\r\nX: 2\r\n", "33 two Ranges": b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n",
        "33 two Expects": b"Expect: 100-continue\r\nExpect: 100-continue\r\n", "33 a name of every token character": b"!#$%&'*+-.^_`|~9aZ: 1\r\n"}.items():
    get(name, fields)
for name in (b"X(", b"X,", b"X/", b"X=", b"X@", b"X[", b"\"X\"", b"X\\", b"{X}", b"X;", b"<X>", b"X?"):
    get(f"06 name {text(name)!r}", name + b": 1\r\n")
    answer(f"06 name {text(name)!r}", name + b": 1\r\n" + CL + b"2\r\n", b"ok")

# ---- 24, 25, 26: interim answers, expectations, upgrades

for value in (b"100-continue", b"100-Continue", b"200-ok", b"", b"100-continue;q=1", b"100-continue, x", b" 100-continue ", b"100\r-continue"):
    request(f"25 Expect: {text(value)!r}", b"Expect: " + value + b"\r\n" + CL + b"5\r\n", b"hello")
get("25 Expect without a body", b"Expect: 100-continue\r\n")
for value in (b"websocket", b"h2c", b"WebSocket", b"foo", b"websocket, h2c", b"TLS/1.0", b""):
    get(f"26 Upgrade: {text(value)!r}", b"Connection: Upgrade\r\nUpgrade: " + value + b"\r\n")
request("26 Upgrade with a hidden request", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", HIDDEN, line=b"GET / HTTP/1.1\r\n")
request("26 Upgrade with a body", b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + CL + b"5\r\n", b"hello")
AFTER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
for name, interim in {
        "100": b"HTTP/1.1 100 Continue\r\n\r\n", "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "199": b"HTTP/1.1 199 X\r\n\r\n",
        "102 twice": b"HTTP/1.1 102 P\r\n\r\n" * 2, "100 with a length": b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
        "100 chunked": b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "101 unasked": b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        "100 on 1.0": b"HTTP/1.0 100 Continue\r\n\r\n", "103 with NUL": b"HTTP/1.1 103 E\r\nX: \0\r\n\r\n"}.items():
    ANSWERS[f"24 {name}"] = (b"GET", interim + AFTER)
ANSWERS["24 1000 times 100"] = (b"GET", b"HTTP/1.1 100 C\r\n\r\n" * 1000 + AFTER)
ANSWERS["24 100 alone"] = (b"GET", b"HTTP/1.1 100 Continue\r\n\r\n")

# ---- 27, 28: answers without a body

for status in (204, 304, 205):
    for name, fields, body in (("with a length", CL + b"2\r\n", b"ok"), ("chunked", TE + b"chunked\r\n", b"2\r\nok\r\n" + LAST),
                               ("with nothing", b"", b""), ("with length 0", CL + b"0\r\n", b"")):
        answer(f"28 {status} {name}", fields, body, line=b"HTTP/1.1 %d X\r\n" % status)
answer("27 HEAD with a body", CL + b"2\r\n", b"ok", method=b"HEAD")
answer("27 HEAD chunked", TE + b"chunked\r\n", b"2\r\nok\r\n" + LAST, method=b"HEAD")
answer("27 HEAD with a second answer", CL + b"2\r\n", AFTER.replace(b"2\r\n\r\nok", b"6\r\n\r\npoison"), method=b"HEAD")

# ---- Status lines

for line in (b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1  200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 X", b"HTTP/1.1 000 X",
             b"HTTP/1.1 600 X", b"HTTP/1.1 999 X", b"HTTP/1.1 2x0 X", b"HTTP/1.1 +200 X", b"HTTP/1.1 -20 X", b"HTTP/1.1\t200 OK", b"HTTP/1.1 200\tOK",
             b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.0 200 OK", b"HTTP/11 200 OK", b"http/1.1 200 OK", b"ICY 200 OK", b"HTTP 200 OK",
             b" HTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 \xc3\xb6k", b"HTTP/1.1200 OK",
             b"SSH-2.0-x", b"HTTP/1.1 200 " + b"a" * 70000):
    answer(f"19 status line {text(line)!r}", CL + b"2\r\n", b"ok", line=line + b"\r\n")
for name, fields in {
        "two Content-Types": b"Content-Type: text/plain\r\nContent-Type: text/html\r\n", "two Locations": b"Location: /a\r\nLocation: //evil\r\n",
        "two Set-Cookies": b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "Connection: X-Secret": b"Connection: X-Secret\r\nX-Secret: 1\r\n",
        "Keep-Alive": b"Keep-Alive: timeout=5\r\n", "Upgrade": b"Upgrade: h2c\r\n", "Trailer": b"Trailer: X\r\n", "too many": b"X: 1\r\n" * 400,
        "too large": b"X: " + b"a" * 70000 + b"\r\n", "Connection: Content-Length": b"Connection: Content-Length\r\n"}.items():
    answer(f"33 {name}", fields + CL + b"2\r\n", b"ok")
for name, number, size in (("a line of 70000 bytes", 1, 70000), ("1000 fields", 1000, 1), ("100 fields of 600 bytes", 100, 600)):
    get(f"33 {name}", (b"X: " + b"a" * size + b"\r\n") * number)

# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/1.1 read in several ways. read_strictly takes what RFC 9112 allows and nothing else; the others
are two lenient servers that decide every doubt in opposite ways. A stream that all of them read
alike leaves nothing to interpretation (doubts); write() spells it in the one way that is ours
(deviations).
"""

import re

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[!-\"$-~]*|\*|https?://[!-\"$-~]+) (HTTP/1\.[01])")
STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?|)[ \t]*")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
CANONICAL_START = re.compile(TOKEN + rb" (?:/[!-~]*|\*) HTTP/1\.1|HTTP/1\.1 [1-5][0-9][0-9] [ -~]*")
BODILESS = {b"204", b"304"}


class Malformed(Exception):
    pass


class Message:
    """start: the parts of the first line; fields: (name, value) in their order; chunks: None where a
    length says where the body ends, or the end of the stream does."""

    def __init__(self, start, fields):
        self.start, self.fields = start, fields
        self.body, self.chunks, self.trailers, self.is_whole = b"", None, [], True

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name]

    def meaning(self):
        """What an application sees."""
        return (self.start, [(name.lower(), value) for name, value in self.fields], self.body, self.is_whole)

    def write(self):
        lines = [b" ".join(self.start), *(name + b": " + value for name, value in self.fields), b"", b""]
        if self.chunks is None:
            return b"\r\n".join(lines) + self.body
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in self.chunks)
        if self.is_whole:
            body += b"\r\n".join([b"0", *(name + b": " + value for name, value in self.trailers), b"", b""])
        return b"\r\n".join(lines) + body


def write(messages):
    return b"".join(message.write() for message in messages)


class Reader:
    """What the three have in common; methods of requests are known for the bodies of answers to HEAD."""

    def __init__(self, data, is_request, methods=()):
        self.data, self.is_request, self.methods = data, is_request, list(methods)

    def messages(self):
        found = []
        while self.data and not (found and not found[-1].is_whole):
            message = self.head()
            if message is None:     # a head that is not whole ends the stream
                break
            self.body(message)
            found.append(message)
        return found

    def has_body(self, message):
        if self.is_request:
            return True
        status = message.start[1]
        if status.startswith(b"1"):
            return False
        method = self.methods.pop(0) if self.methods else b"GET"
        return status not in BODILESS and method != b"HEAD"

    def take(self, n, message):
        piece, self.data = self.data[:n], self.data[n:]
        message.is_whole &= len(piece) == n
        return piece

    def rest(self, message):
        """A request has no such body; an answer's lasts to the end."""
        if not self.is_request:
            message.body, self.data = self.data, b""


class StrictReader(Reader):
    def line(self):
        line, end, self.data = self.data.partition(b"\r\n")
        if not end:
            raise EOFError
        return line

    def fields(self):
        fields = []
        while line := self.line():
            match = FIELD.fullmatch(line)
            if match is None:
                raise Malformed(f"field line {line[:60]!r}")
            fields.append(match.groups())
        return fields

    def head(self):
        try:
            line = self.line()
            match = (REQUEST_LINE if self.is_request else STATUS_LINE).fullmatch(line)
            if match is None:
                raise Malformed(f"first line {line[:60]!r}")
            message = Message(match.groups(), self.fields())
        except EOFError:
            return None
        self.check(message)
        return message

    def check(self, message):
        lengths, codings = message.all(b"content-length"), message.all(b"transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise Malformed(f"framed twice: {lengths} {codings}")
        if any(not re.fullmatch(rb"[0-9]{1,18}", length) for length in lengths):
            raise Malformed(f"length {lengths}")
        if codings and codings[0].lower() != b"chunked":
            raise Malformed(f"coding {codings}")
        if codings and message.start[2 if self.is_request else 0] != b"HTTP/1.1":
            raise Malformed("a coding on HTTP/1.0")
        if self.is_request and len(message.all(b"host")) != 1:
            raise Malformed(f"hosts {message.all(b'host')}")
        if not self.is_request and message.start[1][:1] == b"1" and lengths + codings:
            raise Malformed("an interim answer with a body")

    def body(self, message):
        if not self.has_body(message):
            return
        if message.all(b"transfer-encoding"):
            message.chunks = []
            try:
                self.chunks(message)
            except EOFError:
                message.is_whole = False
            message.body = b"".join(message.chunks)
        elif message.all(b"content-length"):
            message.body = self.take(int(message.all(b"content-length")[0]), message)
        else:
            self.rest(message)

    def chunks(self, message):
        while True:
            line = self.line()
            if not CHUNK_SIZE.fullmatch(line):
                raise Malformed(f"chunk size {line[:60]!r}")
            if int(line, 16) == 0:
                break
            chunk = self.take(int(line, 16), message)
            message.chunks.append(chunk)
            if not message.is_whole:
                return
            if self.data[:2] != b"\r\n":
                raise EOFError if b"\r\n".startswith(self.data) else Malformed(f"behind a chunk {self.data[:9]!r}")
            self.data = self.data[2:]
        message.trailers = self.fields()


class LenientReader(Reader):
    """Any line end, any white space, any number that a careless conversion takes. picks_last: of two
    fields the last counts and a length beats a coding; else the first, and the coding."""

    def __init__(self, data, is_request, methods=(), picks_last=False):
        super().__init__(data, is_request, methods)
        self.picks_last = picks_last
        self.line_end = re.compile(rb"\r\n|\n|\r" if picks_last else rb"\r?\n")

    def line(self):
        match = self.line_end.search(self.data)
        if match is None:
            raise EOFError
        line, self.data = self.data[:match.start()], self.data[match.end():]
        return line

    def fields(self):
        fields = []
        while line := self.line():
            name, _, value = line.partition(b":")
            if line[:1] in b" \t" and fields:
                fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
            else:
                fields.append((name.strip(), value.strip(b" \t\r\n\x0b\x0c\0")))
        return fields

    def head(self):
        try:
            line = self.line()
            while not line:
                line = self.line()
            start = line.split() if self.is_request else (line.split(None, 2) + [b""])[:3]
            return Message(tuple(start), self.fields())
        except EOFError:
            return None

    def one(self, message, name):
        """Requests: as CGI-like servers would find it."""
        values = [value for field, value in message.fields if name ==
                  (re.sub(rb"[^a-z0-9]", b"-", field.lower()) if self.is_request else field.lower())]
        return values[-1 if self.picks_last else 0] if values else None

    @staticmethod
    def number(value, base=10):
        try:
            return max(0, int(value.split(b",")[0].split(b";")[0] or b"0", base))
        except ValueError:
            return 0

    def body(self, message):
        if len(message.start) < 2 or not self.has_body(message):
            return
        length, coding = self.one(message, b"content-length"), self.one(message, b"transfer-encoding")
        if coding is not None and b"chunked" in coding.lower() and not (self.picks_last and length is not None):
            message.chunks = []
            try:
                self.chunks(message)
            except EOFError:
                message.is_whole = False
            message.body = b"".join(message.chunks)
        elif length is not None:
            message.body = self.take(self.number(length), message)
        else:
            self.rest(message)

    def chunks(self, message):
        while size := self.number(self.line(), 16):
            message.chunks.append(self.take(size, message))
            if not message.is_whole:
                return
            self.line()
        message.trailers = self.fields()


def read_strictly(data, is_request, methods=()):
    return StrictReader(data, is_request, methods).messages()


def doubts(data, is_request, methods=()):
    """Why a stream might be understood in two ways; None: it cannot."""
    try:
        strict = read_strictly(data, is_request, methods)
    except Malformed as why:
        return f"malformed: {why}"
    wanted = [message.meaning() for message in strict]
    for picks_last in (False, True):
        try:
            got = [message.meaning() for message in LenientReader(data, is_request, methods, picks_last).messages()]
        except (IndexError, ValueError) as why:
            return f"a lenient reader fails: {why}"
        if got != wanted:
            return f"read as {wanted} and as {got}"[:600]
    return None


def deviations(data, is_request, methods=()):
    """The same, and why it is not spelled as we spell it."""
    if found := doubts(data, is_request, methods):
        return found
    strict = read_strictly(data, is_request, methods)
    written = write(strict)
    if not data.startswith(written):
        return f"not canonical: {data[:300]!r} would be {written[:300]!r}"
    if any(not CANONICAL_START.fullmatch(b" ".join(message.start)) for message in strict):
        return f"not canonical: {[message.start for message in strict]}"
    if strict and not strict[-1].is_whole and len(written) < len(data) - 20:
        return f"bytes behind what broke off: {data[len(written):][:100]!r}"
    return None


def sketch(data, is_request, methods=()):
    """What a lenient server takes a stream for, in a few words: the lines that begin messages, with
    what frames them; and a mark if others would read it differently."""
    try:
        messages = LenientReader(data, is_request, methods).messages()
    except (IndexError, ValueError):
        messages = []
    parts = []
    for message in messages:
        framing = [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in message.fields
                   if re.sub(rb"[^a-z]", b"", name.lower()) in (b"contentlength", b"transferencoding", b"upgrade")]
        first = message.start[:2] if is_request else message.start[1:2]
        word = b" ".join(first)[:40].decode("latin-1")
        parts.append(word + (f" [{'; '.join(framing)}]" if framing else "") + ("" if message.is_whole else " cut"))
    if not parts:
        parts = [f"{len(data)} bytes"] if data else ["nothing"]
    mark = " ⚠" if doubts(data, is_request, methods) else ""
    return (", ".join(parts) + mark).encode("unicode_escape").decode().replace("\\u26a0", "⚠")

# SPDX-License-Identifier: BSD-2-Clause
"""A scriptable origin: an HTTP/1.1 server in threads that records what it was asked and answers,
stalls, lies or breaks off as the case says.

    origin = Origin("one")
    origin.on("/page", lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"hello"))
    origin.on("/cut", lambda x: (x.send_head(200, {"Content-Length": "100"}), x.send(b"half"), x.reset()))
    gate = origin.gate("/slow")          # requests wait there until gate.open()
    origin.count("/page"), origin.requests[-1].headers
    origin.is_healthy = False            # /health answers 503
    origin.stop(); origin.start()        # down and up again, on the same port
"""

import socket
import struct
import threading

from gslbtest import PATIENCE, free_port, wait_until


class Request:
    """What arrived; header names in lower case, fields as they came."""

    def __init__(self, method, target, version, fields, connection_id):
        self.method, self.target, self.version = method, target, version
        self.fields, self.connection_id = fields, connection_id
        self.path = target.split("?")[0]
        self.headers = {}
        for name, value in fields:
            key = name.lower()
            self.headers[key] = f"{self.headers[key]}, {value}" if key in self.headers else value
        self.body = b""
        self.body_error = None
        self.trailers = []
        self.proxied = None


class Exchange:
    """One request being answered; the handler calls what it wants the other side to see."""

    def __init__(self, sock, request, reader):
        self.sock, self.request, self.reader = sock, request, reader
        self.keeps_open = True

    def reply(self, status=200, headers=(), body=b"", reason="OK"):
        """A whole answer; Content-Length is added unless the headers frame it themselves."""
        pairs = self.pairs(headers)
        names = {name.lower() for name, _ in pairs}
        if not names & {"content-length", "transfer-encoding"} and status not in (204, 304):
            pairs.append(("Content-Length", str(len(body))))
        self.send_head(status, pairs, reason)
        if self.request.method != "HEAD":
            self.send(body)

    def send_head(self, status=200, headers=(), reason="OK"):
        lines = [f"HTTP/1.1 {status} {reason}"]
        lines += [f"{name}: {value}" for name, value in self.pairs(headers)]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def send_chunks(self, chunks, status=200, headers=(), trailers=()):
        self.send_head(status, [*self.pairs(headers), ("Transfer-Encoding", "chunked")])
        for chunk in chunks:
            self.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        tail = "".join(f"{name}: {value}\r\n" for name, value in self.pairs(trailers))
        self.send(b"0\r\n" + tail.encode("latin-1") + b"\r\n")

    def send(self, data):
        self.sock.sendall(data)

    def read_body(self):
        """The request's body. Handlers that want to answer first set origin.reads_bodies False."""
        self.request.body = self.reader.body(self.request)
        return self.request.body

    def close(self):
        """An orderly end of the connection after what was sent."""
        self.keeps_open = False

    def reset(self):
        """A reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    @staticmethod
    def pairs(headers):
        return list(headers.items() if isinstance(headers, dict) else headers)


class Gate:
    """Requests wait here; the case sees how many, and lets them through."""

    def __init__(self):
        self._opened = threading.Event()
        self._lock = threading.Lock()
        self.waiting = 0

    def wait(self):
        with self._lock:
            self.waiting += 1
        self._opened.wait(60 * PATIENCE)

    def open(self):
        self._opened.set()

    def wait_for(self, count=1):
        wait_until(lambda: self.waiting >= count, f"{count} requests to wait at the origin")


class _Reader:
    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                return None
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def take(self, n):
        parts, self.buffer = [self.buffer[:n]], self.buffer[n:]
        n -= len(parts[0])
        while n > 0:
            parts.append(self.sock.recv(min(n, 1 << 18)))
            if not parts[-1]:
                raise ConnectionError("the request's body broke off")
            n -= len(parts[-1])
        return b"".join(parts)

    def head(self, connection_id):
        """The next request's head; None at the end of the connection."""
        start = self.line()
        if not start:
            return None
        method, target, version = start.split(" ")
        fields = []
        while True:
            line = self.line()
            if line is None:
                return None
            if not line:
                return Request(method, target, version, fields, connection_id)
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))

    def body(self, request):
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            body = b""
            while True:
                size = int(self.line().split(";")[0], 16)
                if size == 0:
                    while line := self.line():
                        name, _, value = line.partition(":")
                        request.trailers.append((name, value.strip()))
                    return body
                body += self.take(size)
                self.take(2)
        return self.take(int(request.headers.get("content-length", "0")))


def read_proxy_header(sock):
    """What comes first on a connection, PROXY protocol: (version, source, destination), both without
    ports None when it stands for nobody; a broken one is a ValueError."""
    def take(n):
        data = b""
        while len(data) < n:
            more = sock.recv(n - len(data))
            if not more:
                raise ValueError("no whole header")
            data += more
        return data
    start = take(12)
    if start == b"\r\n\r\n\0\r\nQUIT\n":
        command, family, length = struct.unpack("!BBH", take(4))
        body = take(length)
        if command == 0x20:
            return 2, None, None
        kind, size = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[family]
        return (2, *(socket.inet_ntop(kind, body[at:at + size]) for at in (0, size)))
    line = start
    while not line.endswith(b"\r\n"):
        line += take(1)
    words = line.decode().strip().split(" ")
    if words[0] != "PROXY":
        raise ValueError(f"no header: {line}")
    return (1, None, None) if words[1] == "UNKNOWN" else (1, words[2], words[3])


class Origin:
    """One origin server. Without a handler a path answers 200 with the origin's name and no
    freshness; `x-origin` in each answer names it too. is_proxied: connections begin with a PROXY
    header, kept in order in proxy_headers and as request.proxied."""

    def __init__(self, name="origin", host="127.0.0.1", tls_context=None, port=None, is_proxied=False):
        self.is_proxied, self.proxy_headers = is_proxied, []
        self.name, self.host, self.port = name, host, port or free_port()
        self.tls_context = tls_context
        self.requests = []
        self.is_healthy = True
        self.reads_bodies = True
        self.default = lambda x: x.reply(200, {"X-Origin": self.name, "Cache-Control": "no-store"},
                                         f"{self.name} {x.request.target}\n".encode())
        self._handlers = {}
        self._gates = []
        self._lock = threading.Lock()
        self._sockets = set()
        self._connections = 0
        self._listener = None
        self._thread = None
        self.start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def on(self, path, handler):
        """handler(exchange) answers requests for that path (without its query)."""
        self._handlers[path] = handler

    def serve(self, path, body, status=200, **headers):
        """A fixed answer: serve("/a", b"…", cache_control="max-age=60")."""
        pairs = {name.replace("_", "-").title(): value for name, value in headers.items()}
        self.on(path, lambda x: x.reply(status, {"X-Origin": self.name, **pairs}, body))

    def gate(self, path):
        """Requests for that path wait for gate.open(), then get their handler's answer."""
        gate, handler = Gate(), self._handlers.get(path)
        self._gates.append(gate)

        def wait_then_answer(exchange):
            gate.wait()
            (handler or self.default)(exchange)
        self.on(path, wait_then_answer)
        return gate

    def seen(self, path):
        """The requests for that path so far; health checks are not recorded."""
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def count(self, path):
        return len(self.seen(path))

    def start(self):
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(512)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Gone at once: the port refuses, open connections end."""
        if self._listener is None:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        self._thread.join()
        for gate in self._gates:
            gate.open()
        self.drop_connections()

    def drop_connections(self):
        with self._lock:
            for sock in self._sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def open_connections(self):
        with self._lock:
            return len(self._sockets)

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections += 1
                self._sockets.add(sock)
                number = self._connections
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, raw, number):
        sock = raw
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)   # head and body are two writes
        proxied = None
        try:
            if self.is_proxied:
                proxied = read_proxy_header(raw)
                self.proxy_headers.append(proxied)
            if self.tls_context is not None:
                sock = self.tls_context.wrap_socket(raw, server_side=True)
            reader = _Reader(sock)
            while self._answer_one(sock, reader, number, proxied):
                pass
        except (OSError, ValueError, AttributeError):
            pass  # the peer broke off; the case asserts on what the peer says
        finally:
            with self._lock:
                self._sockets.discard(raw)
            sock.close()

    def _answer_one(self, sock, reader, number, proxied):
        request = reader.head(number)
        if request is None:
            return False
        request.proxied = proxied
        exchange = Exchange(sock, request, reader)
        if request.path == "/health" and "/health" not in self._handlers:
            exchange.reply(200 if self.is_healthy else 503, (), b"")
            return True
        with self._lock:
            self.requests.append(request)
        if self.reads_bodies:
            try:
                exchange.read_body()
            except ConnectionError as error:
                request.body_error = str(error)
                return False
        self._handlers.get(request.path, self.default)(exchange)
        return exchange.keeps_open

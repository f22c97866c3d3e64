# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP/1.1 client for tests that sees what came over the wire and can send what no client
library would: one request per call, or bytes on an open connection."""

import socket
import ssl

from gslbtest import PATIENCE


class Response:
    """fields are pairs in their order, names as they came; header() looks one up."""

    def __init__(self, status, reason, version, fields, body):
        self.status, self.reason, self.version = status, reason, version
        self.fields, self.body = fields, body

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def header(self, name):
        """The value, several joined by ", "; None when there is none."""
        values = self.all(name)
        return ", ".join(values) if values else None

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:200]!r}>"


class Connection:
    """One connection. TLS when ca is given: verified against it for server_name. first goes before
    TLS: a load balancer's header."""

    def __init__(self, host, port, ca=None, server_name=None, timeout_s=10.0, alpn=None, cert=None,
                 source=None, first=b""):
        self.sock = socket.create_connection((host, port), timeout_s * PATIENCE,
                                             source_address=(source, 0) if source else None)
        self.buffer = b""
        self.sock.sendall(first)
        if ca is not None:
            self.start_tls(ca, server_name, alpn, cert)

    def start_tls(self, ca, server_name, alpn=None, cert=None):
        context = ssl.create_default_context(cafile=str(ca))
        if alpn:
            context.set_alpn_protocols(alpn)
        if cert:
            context.load_cert_chain(*map(str, cert))
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=server_name)
        except Exception:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_request(self, method, path, host, headers=(), body=None):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        lines += [f"{name}: {value}" for name, value in pairs]
        if body is not None and not any(name.lower() in ("content-length", "transfer-encoding")
                                        for name, _ in pairs):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def fill(self):
        """Reads more; False at the end of the stream."""
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def take_line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                raise ConnectionError(f"closed in the middle of a line: {self.buffer[:200]!r}")
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def take(self, n):
        parts, self.buffer = [self.buffer[:n]], self.buffer[n:]
        n -= len(parts[0])
        while n > 0:
            parts.append(self.sock.recv(min(n, 1 << 18)))
            if not parts[-1]:
                raise ConnectionError(f"closed {n} bytes early")
            n -= len(parts[-1])
        return b"".join(parts)

    def read_to_end(self):
        """Everything until the peer closes, also by a reset."""
        parts, self.buffer = [self.buffer], b""
        try:
            while data := self.sock.recv(1 << 18):
                parts.append(data)
        except ConnectionResetError:
            pass
        return b"".join(parts)

    def is_closed_by_peer(self):
        """Waits for the peer's end of stream; AssertionError when there is data instead."""
        try:
            data = self.buffer or self.sock.recv(1)
        except ConnectionResetError:
            return True
        if data:
            raise AssertionError(f"expected the end, got {data[:200]!r}")
        return True

    def read_head(self):
        status_line = self.take_line()
        version, _, rest = status_line.partition(" ")
        status, _, reason = rest.partition(" ")
        fields = []
        while True:
            line = self.take_line()
            if not line:
                return Response(int(status), reason, version, fields, b"")
            name, colon, value = line.partition(":")
            if not colon:
                raise AssertionError(f"a field without a colon: {line!r}")
            fields.append((name, value.strip()))

    def read_body(self, response, method="GET"):
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return b""
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            return self.read_chunks()
        length = response.header("content-length")
        return self.take(int(length)) if length is not None else self.read_to_end()

    def read_chunks(self):
        body = []
        while True:
            size = int(self.take_line().split(";")[0], 16)
            if size == 0:
                while self.take_line():
                    pass  # trailers
                return b"".join(body)
            body.append(self.take(size))
            if self.take(2) != b"\r\n":
                raise AssertionError("a chunk does not end with CRLF")

    def read_response(self, method="GET", keep_interim=False):
        """The next final response (interim ones are skipped unless asked for)."""
        while True:
            response = self.read_head()
            if response.status >= 200 or keep_interim:
                break
        response.body = self.read_body(response, method)
        return response

    def request(self, method, path, host, headers=(), body=None):
        self.send_request(method, path, host, headers, body)
        return self.read_response(method)


class HttpClient:
    """Requests to one listener, each on a connection of its own."""

    def __init__(self, host, port, ca=None):
        self.host, self.port, self.ca = host, port, ca

    def connect(self, server_name="www.example.com", **how):
        return Connection(self.host, self.port, ca=self.ca, server_name=server_name, **how)

    def request(self, method, path="/", host="www.example.com", headers=(), body=None, **how):
        with self.connect(server_name=host.split(":")[0], **how) as connection:
            return connection.request(method, path, host, headers, body)

    def get(self, path="/", host="www.example.com", headers=(), **how):
        return self.request("GET", path, host, headers, **how)

    def raw(self, data, timeout_s=5.0):
        """Sends bytes and returns all that comes until the peer closes."""
        with self.connect(timeout_s=timeout_s) as connection:
            connection.send(data)
            return connection.read_to_end()

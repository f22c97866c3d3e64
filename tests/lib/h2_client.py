# SPDX-License-Identifier: BSD-2-Clause
"""An HTTP/2 client for tests that sees every frame and can send what no client library would.

    with H2Client(site.edge, site.certs.ca) as c:
        stream = c.request("GET", "/page")
        answer = c.answer(stream)           # status, fields, body, trailers; reset: its error code
        c.send(PingFrame(0, b"12345678"))   # any frame of hyperframe
        c.goaway                            # (last stream, error code), once it came
"""
import os
import select
import socket
import ssl
import threading

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from edge_under_test import HOST
from gslbtest import PATIENCE, check

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 5, 7, 8, 11


class Answer:
    def __init__(self):
        self.status, self.fields, self.body, self.trailers = None, [], b"", None
        self.interim = []           # (status, fields)
        self.is_ended, self.reset = False, None

    def header(self, name):
        values = [value for field, value in self.fields if field == name]
        return ", ".join(values) if values else None

    @property
    def text(self):
        return self.body.decode(errors="replace")


class H2Client:
    """credit False: no WINDOW_UPDATE but by hand. settings: what ours say. first goes before TLS.
    certificate: ours, as issue() of tls_lab gives it."""

    def __init__(self, edge, ca, server_name=HOST, settings=None, credit=True, timeout_s=10.0,
                 port=None, first=b"", source=None, certificate=None):
        context = ssl.create_default_context(cafile=str(ca))
        if certificate:
            context.load_cert_chain(certificate["certificate"], certificate["key"])
        context.set_alpn_protocols(["h2", "http/1.1"])
        sock = socket.create_connection((edge.address, port or edge.https_port), timeout_s * PATIENCE,
                                        source_address=(source, 0) if source else None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(first)
        self.sock = context.wrap_socket(sock, server_hostname=server_name)
        check(self.sock.selected_alpn_protocol() == "h2", "no h2 by ALPN")
        self._lock = threading.Lock()       # one thread may send while another one reads
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.answers, self.next_id, self.credit = {}, 1, credit
        self.goaway, self.goaways, self.pongs, self.is_closed = None, [], 0, False
        self.settings, self.buffer, self.order = {}, b"", []
        self._block, self._block_frame = b"", None
        self.send_bytes(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # ---- Sending

    def send_bytes(self, data):
        with self._lock:
            self.sock.sendall(data)

    def send(self, *frames):
        self.send_bytes(b"".join(frame.serialize() for frame in frames))

    def send_raw(self, kind, flags, stream, payload=b"", length=None):
        """A frame by its numbers; length may lie."""
        n = len(payload) if length is None else length
        self.send_bytes(n.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload)

    def headers_frame(self, stream, fields, end=True, huffman=True):
        frame = HeadersFrame(stream, self.encoder.encode(fields, huffman=huffman))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def take_id(self):
        self.next_id += 2
        return self.next_id - 2

    def fields(self, method, path, headers=(), host=HOST):
        pairs = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        return pairs + list(headers.items() if isinstance(headers, dict) else headers)

    def request(self, method="GET", path="/", headers=(), body=None, host=HOST, end=True):
        """Begins a request; with body it is sent whole (a small one: windows are not looked at)."""
        return self.request_of(self.fields(method, path, headers, host), body, end)

    def request_of(self, fields, body=None, end=True):
        stream = self.take_id()
        self.answers[stream] = Answer()
        frames = [self.headers_frame(stream, fields, end and body is None)]
        if body is not None:
            frames.append(self.data_frame(stream, body, end))
        self.send(*frames)
        return stream

    @staticmethod
    def data_frame(stream, data, end=False):
        frame = DataFrame(stream, data)
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def data(self, stream, data, end=False):
        self.send(self.data_frame(stream, data, end))

    def reset(self, stream, error=CANCEL):
        self.send(RstStreamFrame(stream, error_code=error))

    def open_window(self, stream, n):
        self.send(WindowUpdateFrame(stream, window_increment=n))

    # ---- Receiving

    def _recv(self):
        with self._lock:
            has_data = self.sock.pending() > 0
        if not has_data and not select.select([self.sock], [], [], self.sock.gettimeout())[0]:
            raise TimeoutError("nothing came")
        with self._lock:
            return self.sock.recv(65536)

    def _read(self, n):
        while len(self.buffer) < n:
            try:
                data = self._recv()
            except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                data = b""
            if not data:
                self.is_closed = True
                return None
            self.buffer += data
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

    def read_frame(self):
        """The next frame, dealt with; None: the connection has ended."""
        head = self._read(9)
        if head is None:
            return None
        frame, length = Frame.parse_frame_header(memoryview(head))
        payload = self._read(length)
        if payload is None:
            return None
        frame.parse_body(memoryview(payload))
        self._take(frame)
        return frame

    def _take(self, frame):
        answer = self.answers.setdefault(frame.stream_id, Answer()) if frame.stream_id else None
        if isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self._block += frame.data
            self._block_frame = frame if isinstance(frame, HeadersFrame) else self._block_frame
            if "END_HEADERS" in frame.flags:
                self._take_block(answer)
        elif isinstance(frame, DataFrame):
            answer.body += frame.data
            answer.is_ended |= "END_STREAM" in frame.flags
            self.order.append((frame.stream_id, len(frame.data)))
            if self.credit and frame.flow_controlled_length:
                self.open_window(0, frame.flow_controlled_length)
                if not answer.is_ended:
                    self.open_window(frame.stream_id, frame.flow_controlled_length)
        elif isinstance(frame, RstStreamFrame):
            answer.reset = frame.error_code
        elif isinstance(frame, GoAwayFrame):
            self.goaway = (frame.last_stream_id, frame.error_code)
            self.goaways.append(self.goaway)
        elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.settings.update(frame.settings)
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs += 1
            else:
                self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))

    def _take_block(self, answer):
        fields = [(str(n), str(v)) for n, v in self.decoder.decode(self._block)]
        self._block = b""
        status = dict(fields).get(":status")
        if status is None:
            answer.trailers = fields
        elif status.startswith("1"):
            answer.interim.append((int(status), fields[1:]))
        else:
            answer.status, answer.fields = int(status), fields[1:]
        answer.is_ended |= "END_STREAM" in self._block_frame.flags

    def read_until(self, predicate, what):
        while not predicate():
            check(self.read_frame() is not None, f"closed before {what} (GOAWAY: {self.goaways})")

    def answer(self, stream):
        """Reads until that stream has ended, in whatever way."""
        answer = self.answers[stream]
        self.read_until(lambda: answer.is_ended or answer.reset is not None, f"stream {stream} ended")
        return answer

    def get(self, path="/", headers=(), method="GET", **how):
        return self.answer(self.request(method, path, headers, **how))

    def wait_goaway(self):
        self.read_until(lambda: self.goaway, "a GOAWAY")
        return self.goaway

    def wait_closed(self):
        """Reads to the end of the connection."""
        while self.read_frame() is not None:
            pass

    def ping(self):
        """Everything sent before has been dealt with when this returns."""
        before = self.pongs
        self.send(PingFrame(0, os.urandom(8)))
        self.read_until(lambda: self.pongs > before, "a PING's answer")

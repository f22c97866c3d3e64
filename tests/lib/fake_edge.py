# SPDX-License-Identifier: BSD-2-Clause
"""An edge without a proxy: it speaks the control channel (proto/channel.proto) and says whatever a
test wants, truths, lies and garbage alike.

    with FakeEdge(site, "eu-west-1") as edge:      # connects, reports each 200 ms from a thread
        site.wait_edge("eu-west-1", "up")
        edge.say(can_serve=False, reason="disk full")
    link = ChannelLink(site.dns, site.certs.node("edge", "eu-west-1"))     # by hand, no thread
    link.send(frame(hello=hello()))

Messages are built by hand (a field is a number and a value), so that what no encoder would make can
be made too.
"""

import socket
import ssl
import struct
import threading
import time

from gslbtest import PATIENCE, wait_until

# Numbers of Frame's body.
BODIES = {"hello": 1, "welcome": 2, "report": 3, "ack": 4, "command": 5, "result": 6, "request": 7,
          "reply": 8}
# Numbers of Request's action.
ACTIONS = {"status": 1, "explain": 2, "drain": 3, "reload": 4, "metrics": 5}


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """int and bool become a varint, str and bytes a length and the bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(fields):
    """{number: value or list of values} as protobuf."""
    out = b""
    for number, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            out += field(number, value)
    return out


def parse(data):
    """Protobuf as {number: [values]}, values being ints and bytes."""
    fields, at = {}, 0

    def take_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = take_varint()
        kind = key & 7
        if kind == 0:
            value = take_varint()
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size = take_varint()
            value = data[at:at + size]
            at += size
        fields.setdefault(key >> 3, []).append(value)
    return fields


def frame(**body):
    """frame(report=report(...)): the bytes with their length in front."""
    (name, data), = body.items()
    return enclose(message({BODIES[name]: data}))


def enclose(data):
    return struct.pack("!I", len(data)) + data


def hello(interval_ms=200):
    return message({1: 1, 2: "fake-edge 1.0", 3: interval_ms})


def report(sequence=1, can_serve=True, reason="", is_draining=False, drain_reason="",
           uptime_ms=1000, origins=(), hits=0, lookups=0, requests=0, connections=0, more=b""):
    """origins: (pool, name, is_up, reason) each; more: further protobuf behind it."""
    load = message({1: connections, 2: 1000, 3: 2000, 4: 125})
    cache = message({1: hits, 2: lookups, 3: 1 << 20, 4: 64 << 20, 5: 17})
    parts = {1: sequence, 2: uptime_ms, 3: can_serve, 4: reason, 5: is_draining, 6: drain_reason,
             7: load, 8: [message({1: pool, 2: name, 3: is_up, 4: why, 5: 1234, 6: 1})
                          for pool, name, is_up, why in origins],
             9: cache, 10: requests, 11: requests * 1000, 12: 0}
    return message(parts) + more


def request(action, **fields):
    """request("drain", edge="x", is_on=True): of an operator."""
    numbers = {"explain": {"name": 1, "client": 2}, "drain": {"edge": 1, "is_on": 2, "reason": 3}}
    return message({ACTIONS[action]: message({numbers[action][name]: value
                                              for name, value in fields.items()})})


def client_context(files, maximum=ssl.TLSVersion.TLSv1_3):
    """files: certificate, key and ca as a control section names them; None: no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if maximum < ssl.TLSVersion.TLSv1_3:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = maximum
    if files is not None:
        context.load_cert_chain(files["certificate"], files["key"])
    return context


class ChannelLink:
    """One connection to a node's control port; context None: plain text."""

    def __init__(self, node, files=None, context=None, is_plain=False, timeout_s=5.0):
        self.sock = socket.create_connection(("127.0.0.1", node.control_port),
                                             timeout_s * PATIENCE)
        if not is_plain:
            try:
                self.sock = (context or client_context(files)).wrap_socket(self.sock)
            except OSError:
                self.sock.close()
                raise

    def send(self, data):
        self.sock.sendall(data)

    def receive(self):
        """The next frame's fields, {number of the body: its fields}; None: closed by the peer."""
        head = self._read(4)
        data = self._read(struct.unpack("!I", head)[0]) if head else None
        if data is None:
            return None
        return {number: parse(values[0]) for number, values in parse(data).items()}

    def _read(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.sock.recv(n - len(data))
            except (ConnectionError, ssl.SSLError):
                return None
            if not more:
                return None
            data += more
        return data

    def is_closed_by_peer(self):
        """Reads until the peer ends the link; whether it did before the timeout."""
        try:
            while self.receive() is not None:
                pass
        except socket.timeout:
            return False
        return True

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakeEdge:
    """Reports from a thread of its own until stop(), and reconnects when the link is lost."""

    def __init__(self, site, name, node=None, every_s=0.2, **said):
        self.name, self.node, self.every_s = name, node or site.dns, every_s
        self.files = site.certs.node("edge", name)
        self.said = said
        self.started = time.monotonic()
        self.sequence = self.acked = self.connects = 0
        self.obeys = True
        self.commands = []          # (is_on, reason) of the drains asked for
        self.link = None
        self.lock = threading.Lock()
        self.is_stopping, self.is_muted = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def say(self, **said):
        """Changes what it reports, and reports at once."""
        with self.lock:
            self.said = {**self.said, **said}
            if self.link is not None:
                try:
                    self._report()
                except OSError:
                    pass

    def mute(self, is_muted=True):
        """Stays connected and says nothing, as a stopped process would."""
        (self.is_muted.set if is_muted else self.is_muted.clear)()

    def wait_acked(self, more=1):
        wanted = self.sequence + more
        wait_until(lambda: self.acked >= wanted, f"{wanted} acks for {self.name}")

    def stop(self):
        """Closes the link without a word, as a killed process would."""
        self.is_stopping.set()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _report(self):
        self.sequence += 1
        uptime_ms = int((time.monotonic() - self.started) * 1000)
        self.link.send(frame(report=report(self.sequence, **{"uptime_ms": uptime_ms, **self.said})))

    def _run(self):
        while not self.is_stopping.is_set():
            try:
                self._run_link()
            except (OSError, TypeError):    # TypeError: the link is closed while it is used
                pass
            finally:
                with self.lock:
                    if self.link is not None:
                        self.link.close()
                        self.link = None
            self.is_stopping.wait(0.05)

    def _run_link(self):
        link = ChannelLink(self.node, self.files)
        self.connects += 1
        link.send(frame(hello=hello(int(self.every_s * 1000))))
        with self.lock:
            self.link = link
        due = 0.0
        while not self.is_stopping.is_set():
            now = time.monotonic()
            if now >= due and not self.is_muted.is_set():
                with self.lock:
                    self._report()
                due = now + self.every_s
            link.sock.settimeout(max(0.01, min(due - now, 0.05)))
            try:
                got = link.receive()
            except socket.timeout:
                continue
            if got is None:
                return
            self._take(link, got)

    def _take(self, link, got):
        if BODIES["ack"] in got:
            self.acked = got[BODIES["ack"]].get(1, [0])[0]
        if BODIES["command"] in got:
            command = got[BODIES["command"]]
            if 2 not in command:    # another command: this edge is an old one
                with self.lock:
                    link.send(frame(result=message({1: command[1][0], 2: "not known here"})))
                return
            drain = parse(command[2][0])
            is_on = bool(drain.get(1, [0])[0])
            reason = drain.get(2, [b""])[0].decode()
            self.commands.append((is_on, reason))
            with self.lock:
                if self.obeys:
                    self.said = {**self.said, "is_draining": is_on, "drain_reason": reason}
                    link.send(frame(result=message({1: command[1][0]})))
                    self._report()

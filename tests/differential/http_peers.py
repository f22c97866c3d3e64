# SPDX-License-Identifier: BSD-2-Clause
"""The proxies that are compared, each before an origin that keeps every byte; and whoever plays a
visitor to them. A lane is one process of one of them with an origin of its own: cases of several
lanes run side by side."""

import contextlib
import itertools
import os
import re
import shutil
import socket
import threading

from differential.http_readers import deviations, read_strictly, sketch
from gslbtest import PATIENCE, check, free_port, wait_until

QUIET_S = 0.02 * PATIENCE       # when that much time passes without a byte, nothing more comes
PATIENCE_S = 0.25 * PATIENCE    # the same of a visitor, who waits for the origin too
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nok"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nnext"


class Recorder:
    """An origin that answers once the sender falls silent, by what was asked in the first line:
    /next gets NEXT, anything else `answer`; and closes."""

    def __init__(self, port):
        self.port, self.address, self.answer = port, f"127.0.0.1:{port}", OK
        self.received = []
        self._lock = threading.Lock()
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        with contextlib.suppress(OSError):  # stopped before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def take(self):
        """The bytes of each connection since the last time; waits until they have ended."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self._open, "the origin's connections to end", PATIENCE_S / PATIENCE)
        with self._lock:
            taken, self.received = self.received, []
        return [bytes(part) for part in taken if part]

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            kept = bytearray()
            with self._lock:
                self.received.append(kept)
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock, kept), daemon=True).start()

    def _serve(self, sock, kept):
        try:
            sock.settimeout(5)
            while data := sock.recv(1 << 16):
                kept += data
                sock.settimeout(QUIET_S)
        except OSError:     # silence, in most cases
            with contextlib.suppress(OSError):
                sock.sendall(NEXT if kept.startswith(b"GET /next ") else self.answer)
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(QUIET_S)
                while data := sock.recv(1 << 16):
                    kept += data
        finally:
            sock.close()
            with self._lock:
                self._open.discard(sock)


def visit(port, data):
    """Everything that comes back, until the end or until nothing more comes."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 5) as sock, contextlib.suppress(OSError):
        with contextlib.suppress(OSError):
            sock.sendall(data)
        sock.settimeout(PATIENCE_S)
        while part := sock.recv(1 << 16):
            got += part
    return got


class Lane:
    """name, the Debian package, the program."""

    name = package = program = None

    def __init__(self, site, number):
        self.number, self.port = number, free_port()
        self.origin = Recorder(free_port())
        site.origins.append(self.origin)
        self.folder = site.path(f"{self.name}-{number}")
        self.folder.mkdir()
        self.site = site

    @classmethod
    def find(cls):
        return shutil.which(cls.program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/sbin:/bin")

    def start(self):
        program = self.site.add_program(f"{self.name}-{self.number}", [self.find(), *self.configure()])
        program.start()

        def answers():
            check(program.is_running(), f"{self.name} ended:\n{program.tail(6)}")
            return visit(self.port, b"GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").endswith(b"next")
        wait_until(answers, f"{self.name} to answer", 30)
        self.origin.take()
        return self

    def play(self, data, answer=OK):
        """What the origin got, by connection, and what the visitor got."""
        self.origin.answer = answer
        got = visit(self.port, data)
        return self.origin.take(), got


class Ours(Lane):
    name, program = "edge-proxy", "edge-proxy"

    def start(self):
        def edit(config):
            config["workers"] = 1
            config["listen"] = [f"127.0.0.1:{self.port}"]
            del config["tls"]
            config["cache"] = {"memory": "off"}
            config["pools"]["app"] = {"origins": [f"127.0.0.1:{self.origin.port}"], "check": "off"}
            config["sites"] = {"*": {"routes": {"/": "app"}}}
        self.edge = self.site.add_edge(f"edge-{self.number}", edit=edit)
        self.edge.start()
        return self


class Nginx(Lane):
    name = package = program = "nginx"

    def configure(self):
        user = "user root; " if os.geteuid() == 0 else ""
        temporary = " ".join(f"{kind}_temp_path {self.folder}/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(f"""
daemon off; {user}pid {self.folder}/pid; error_log stderr crit; worker_processes 1;
events {{ }}
http {{
  access_log off; {temporary} proxy_http_version 1.1; proxy_set_header Connection "";
  server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://127.0.0.1:{self.origin.port}; }} }}
}}
""")
        return ["-c", self.folder / "nginx.conf", "-p", self.folder, "-e", "stderr"]


class Haproxy(Lane):
    name = package = program = "haproxy"

    def configure(self):
        (self.folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  quiet
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend f
  bind 127.0.0.1:{self.port}
  default_backend o
backend o
  server o 127.0.0.1:{self.origin.port}
""")
        return ["-db", "-f", self.folder / "haproxy.cfg"]


class Varnish(Lane):
    name, package, program = "varnish", "varnish", "varnishd"

    def configure(self):
        (self.folder / "v.vcl").write_text(
            f'vcl 4.1; backend default {{ .host = "127.0.0.1"; .port = "{self.origin.port}"; }}\n')
        return ["-F", "-j", "none", "-n", self.folder / "work", "-T", "none", "-a", f"127.0.0.1:{self.port}",
                "-f", self.folder / "v.vcl", "-s", "malloc,16M"]


PEERS = [Nginx, Haproxy, Varnish]


class Played:
    """One case through one lane, and what came of it."""

    NEXT = b"GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

    def __init__(self, lane, data, answer=OK, method=None):
        self.methods = [method or data.split(b" ")[0]]
        self.forwarded, self.answered = lane.play(data + self.NEXT, answer)

    def statuses(self):
        return re.findall(rb"HTTP/1\.1 (\d{3})", self.answered)

    def request_doubts(self):
        """Of what the origin got, and of what the visitor got for it."""
        for part in self.forwarded:
            if found := deviations(part, True):
                return f"to the origin: {found}"
        return self.answer_doubts()

    def answer_doubts(self):
        """Of what the visitor got; the answer to its second request must not be part of the first's."""
        if found := deviations(self.answered, False, self.methods):
            return f"to the visitor: {found}"
        finals = [message for message in read_strictly(self.answered, False, self.methods)
                  if message.start[1] >= b"200"]
        if len(finals) > 2 + (b"GET /1 " in b"".join(self.forwarded)) + (b"/hidden" in b"".join(self.forwarded)):
            return f"to the visitor: {len(finals)} answers in {self.answered!r}"
        if len(finals) > 1 and any(b"poison" in message.body or b"junk" in message.body for message in finals[1:]):
            return f"to the visitor: another's answer in {self.answered!r}"
        return None

    def sketch_request(self):
        if not self.forwarded:
            return b" ".join(self.statuses()).decode() or "no answer"
        return " + ".join(sketch(part, True) for part in self.forwarded)

    def sketch_answer(self):
        return sketch(self.answered, False, self.methods)


def play_all(lanes, cases, play):
    """{name: play(lane, case)}, the lanes side by side."""
    played, todo = {}, list(cases.items())
    lock = threading.Lock()

    def work(lane):
        while True:
            with lock:
                if not todo:
                    return
                name, case = todo.pop()
            try:
                played[name] = play(lane, case)
            except OSError as error:
                played[name] = error
    threads = [threading.Thread(target=work, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return played


def play_requests(lanes, cases):
    return play_all(lanes, cases, Played)


def play_answers(lanes, cases):
    numbers = itertools.count()     # of paths, because some of them cache

    def play(lane, case):
        method, data = case
        return Played(lane, b"%s /asked/%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % (method, next(numbers)), data, method)
    return play_all(lanes, cases, play)

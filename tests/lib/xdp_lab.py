# SPDX-License-Identifier: BSD-2-Clause
"""A server and a client in network namespaces of their own, joined by a veth pair."""
import ctypes
import os
import pathlib
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

from gslbtest import PATIENCE, Program, main, parse_metrics, program_path

SERVER, CLIENT = f"gslb-xs-{os.getpid()}", f"gslb-xc-{os.getpid()}"
ZONE = "@ 60 SOA a. b. 1 1 1 1 1\n@ 60 NS a.\nx 60 A 192.0.2.1\n"
AF_XDP, CLONE_NEWNET = 44, 0x40000000
BPF_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
BPF_MAP_CREATE, BPF_MAP_TYPE_XSKMAP = 0, 17


def ip(*args):
    return subprocess.run(["ip", *args], capture_output=True, text=True, check=False)


def inside(namespace, *args, text=None):
    return subprocess.run(["ip", "netns", "exec", namespace, *args], input=text, capture_output=True,
                          text=True, check=False, timeout=20).stdout


def socket_in(namespace, *args):
    """A socket of that namespace, which it stays in; this thread is there for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(*args)
        finally:
            libc.setns(here, CLONE_NEWNET)
    finally:
        os.close(here)
        os.close(there)


class Lab:
    """The server's namespace with 10.77.0.1 and fd77::1 on v0, the client's with .2 on v1."""

    def __init__(self, queues=1):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.programs = []
        for namespace in (SERVER, CLIENT):
            ip("netns", "add", namespace)
        self.queues = ("numrxqueues", str(queues), "numtxqueues", str(queues))
        self.join()

    def join(self, *instead_of):
        """The pair and its addresses; instead_of: words for ip that take the former pair away."""
        if instead_of:
            ip("-n", SERVER, *instead_of)
        ip("link", "add", "v0", "netns", SERVER, *self.queues, "type", "veth",
           "peer", "name", "v1", "netns", CLIENT, *self.queues)
        for namespace, link, host in ((SERVER, "v0", "1"), (CLIENT, "v1", "2")):
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "addr", "add", f"10.77.0.{host}/24", "dev", link)
            ip("-n", namespace, "addr", "add", f"fd77::{host}/64", "dev", link, "nodad")
            ip("-n", namespace, "link", "set", link, "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self.programs:
            program.kill()
        for namespace in (SERVER, CLIENT):
            ip("netns", "del", namespace)
        shutil.rmtree(self.folder)

    def configure(self, name, xdp, port=53, more="", listen=("10.77.0.1", "[fd77::1]"), zone=ZONE):
        (self.folder / "zone").write_text(zone)
        config = self.folder / f"{name}.yaml"
        listens = ", ".join(f'"{host}:{port}"' for host in listen)
        config.write_text(f"listen: [{listens}]\nxdp: {xdp}\nmetrics: 10.77.0.1:{port + 9000}\n"
                          f"zones: {{example.com: zone}}\n{more}")
        return config

    def start(self, name, xdp, port=53, by=(), **settings):
        """by: a command that starts the server, before its own."""
        config = self.configure(name, xdp, port, **settings)
        program = Program(name, ["ip", "netns", "exec", SERVER, *by, program_path("gslb-dns"), "-c", config],
                          self.folder / f"{name}.log")
        self.programs.append(program)
        return program.start().wait_ready()

    @staticmethod
    def exchange(data, namespace=CLIENT, host="10.77.0.1", port=53, timeout_s=2.0):
        """The answer to these bytes over UDP; from SERVER itself it comes by the sockets. None: none."""
        with socket_in(namespace, socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout_s * PATIENCE)
            sock.sendto(data, (host, port))
            try:
                return sock.recv(65535)
            except socket.timeout:
                return None

    @staticmethod
    def mac(namespace, link):
        return bytes.fromhex(inside(namespace, "cat", f"/sys/class/net/{link}/address").strip().replace(":", ""))

    @staticmethod
    def ask(*args, name="x.example.com"):
        return inside(CLIENT, "dig", "+short", "+time=2", "+tries=2", *args, name).strip()

    @staticmethod
    def metrics():
        return parse_metrics(inside(CLIENT, "curl", "-s", "http://10.77.0.1:9053/metrics"))

    @staticmethod
    def attached():
        return "xdp" in ip("-n", SERVER, "link", "show", "v0").stdout


def _makes_a_map():
    attributes = ctypes.create_string_buffer(struct.pack("=5I", BPF_MAP_TYPE_XSKMAP, 4, 4, 1, 0), 128)
    number = BPF_NUMBERS.get(platform.machine())
    fd = ctypes.CDLL(None).syscall(number, BPF_MAP_CREATE, attributes, 128) if number else -1
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def what_is_missing():
    """Why the fast path cannot be tried here; None: it can."""
    namespace = f"{SERVER}-try"

    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "it takes root and iproute2"
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError as e:
        return f"no AF_XDP socket: {e.strerror}"
    if not _makes_a_map():
        return "no BPF map: CAP_BPF and CAP_NET_ADMIN, or a kernel that has them"
    try:
        if ip("netns", "add", namespace).returncode != 0:
            return "no network namespace"
        if ip("-n", namespace, "link", "add", "v0", "type", "veth", "peer", "name", "v1").returncode != 0:
            return "no veth pair"
    finally:
        ip("netns", "del", namespace)
    return None


def main_or_skip():
    missing = what_is_missing()
    if missing is None:
        main()
    print(f"skip: XDP cannot be tried here: {missing}")
    print("ok skipped_without_rights")
    sys.exit(0)

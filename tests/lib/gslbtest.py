# SPDX-License-Identifier: BSD-2-Clause
"""The harness of the system tests: cases, waiting, programs, ports. A system test reads:

    #!/usr/bin/python3
    # SPDX-License-Identifier: BSD-2-Clause
    '''Answers follow the client.'''
    import os
    import sys
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
    from gslbtest import case, check_equal, main
    from site_under_test import Site

    def build():
        site = Site()
        site.add_dns("ns1")
        return site

    @case
    def irish_client_gets_dublin(site):
        check_equal(site.dns.addresses("www.example.com", subnet="185.2.100.0/24"), {"127.0.0.11"})

    main(build)

main() builds one site for all cases of the file with a parameter named site, runs the cases in their
order and prints "ok NAME" or "FAIL NAME" for each, which tests/lib/run-tests counts. Stopping the
site is a case too: every program must end with exit code 0 and without a report of a sanitizer.
A case that wants a site of its own says `with Site() as site:`.

Nothing sleeps where it can wait: wait_until(predicate, what) is the only clock. Its limits are
multiplied by GSLB_PATIENCE, which the runner raises for slow builds.
"""

import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GSLB_BUILD", TOP / "build")).resolve()
PATIENCE = int(os.environ.get("GSLB_PATIENCE", "1"))
REPORTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|: bug in "
                     r"|out of memory")

_cases = []
cleanups = []   # what main() calls last, whatever happened: called once or twice, each


def case(function):
    """Decorator: makes a function one case, named by the function."""
    _cases.append((function.__name__, function, _takes_site(function)))
    return function


def _takes_site(function):
    code = function.__code__
    return code.co_varnames[:min(1, code.co_argcount)] == ("site",)


def case_table(rows):
    """Decorator: one case per row of a dict {name: arguments}; a first parameter named site gets
    the site."""
    def register(function):
        for name, arguments in rows.items():
            if not isinstance(arguments, tuple):
                arguments = (arguments,)
            def bound(*site, arguments=arguments):
                return function(*site, *arguments)
            _cases.append((f"{function.__name__}[{name}]", bound, _takes_site(function)))
        return function
    return register


def check(condition, what):
    """An assert that says something, and that -O cannot remove."""
    if not condition:
        raise AssertionError(what)


def check_equal(got, wanted, what=""):
    check(got == wanted, f"{what + ': ' if what else ''}got {got!r}, wanted {wanted!r}")


def check_in(part, whole, what=""):
    check(part in whole, f"{what + ': ' if what else ''}no {part!r} in {whole!r}")


def wait_until(predicate, what, timeout_s=10.0, every_s=0.02):
    """Calls predicate until it returns something true, which is returned. An AssertionError or
    OSError of the predicate means "not yet"."""
    until = time.monotonic() + timeout_s * PATIENCE
    last = None
    while True:
        try:
            last = predicate()
        except (AssertionError, OSError) as error:
            last = None
            reason = error
        else:
            reason = None
        if last:
            return last
        if time.monotonic() > until:
            detail = f" (last: {reason})" if reason else ""
            raise AssertionError(f"waited {timeout_s * PATIENCE:g} s in vain for {what}{detail}")
        time.sleep(every_s)


def stays_true(predicate, what, seconds):
    """The opposite duty: what must not change while time passes. Keep seconds small."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check(predicate(), what)
        time.sleep(0.02)


class PortLease:
    """A port that is free for TCP and UDP on all loopback addresses and that no other test takes.

    The lease is an abstract Unix socket named after the port: it excludes every other process of
    the machine and goes away with this one. The range lies below the kernel's ephemeral ports,
    so that nobody's outgoing connection can sit on it meanwhile.
    """

    _held = []

    @classmethod
    def take(cls):
        for _ in range(1000):
            port = random.randrange(12000, 32000)
            lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                lease.bind(f"\0gslb-test-port-{port}")
            except OSError:
                lease.close()
                continue
            if is_port_free(port):
                cls._held.append(lease)
                return port
            lease.close()
        raise AssertionError("no free port in 12000 to 32000")


def is_port_free(port, host="0.0.0.0"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port():
    return PortLease.take()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def program_path(name):
    path = BUILD / "bin" / name
    check(path.exists(), f"{path} is not built: run make")
    return str(path)


def run_program(name, *args, timeout_s=20, env=None, **kwargs):
    """Runs one of our programs to its end: result.returncode, .stdout, .stderr."""
    return subprocess.run([program_path(name), *map(str, args)], capture_output=True, text=True,
                          timeout=timeout_s * PATIENCE, check=False,
                          env={**os.environ, **(env or {})}, **kwargs)


class Program:
    """A running program: its log is a file, its end is checked."""

    def __init__(self, name, argv, log_path, env=None, is_ours=True):
        self.name, self.argv, self.log_path, self.is_ours = name, argv, pathlib.Path(log_path), is_ours
        self.env = {**os.environ, **(env or {})}
        self.process = None
        self.starts_at = 0

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        check(not self.is_running(), f"{self.name} runs already")
        self.starts_at = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(arg) for arg in self.argv], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.env)
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        """What it has logged since its newest start."""
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(self.starts_at)
            return log.read().decode(errors="replace")

    def mark(self):
        """A place in the log: wait_log(..., since=mark) looks only behind it."""
        return len(self.log())

    def log_lines(self, pattern, since=0):
        return [line for line in self.log()[since:].splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, timeout_s=10.0, since=0):
        """Waits for a line that matches the regular expression; returns it."""
        def look():
            lines = self.log_lines(pattern, since)
            check(lines or self.is_running(), f"{self.name} ended: {self.tail()}")
            return lines
        return wait_until(look, f"{self.name} to log /{pattern}/", timeout_s)[0]

    def wait_ready(self, timeout_s=20.0):
        def look():
            if not self.is_running():
                return True
            return self.log_lines(r"\bmain: ready")
        wait_until(look, f"{self.name} to be ready", timeout_s)
        check(self.is_running(), f"{self.name} ended with exit code {self.process.returncode}"
              f" instead of getting ready:\n{self.tail()}")
        return self

    def signal(self, number):
        check(self.is_running(), f"{self.name} does not run")
        os.kill(self.pid, number)

    def wait_end(self, timeout_s=20.0):
        """Waits until it has ended by itself; returns the exit code."""
        return self.process.wait(timeout_s * PATIENCE)

    def stop(self, timeout_s=20.0):
        """SIGTERM; it must end with exit code 0 and clean hands."""
        if self.process is None:
            return
        if self.is_running():
            self.signal(signal.SIGTERM)
        try:
            code = self.wait_end(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop after SIGTERM:\n{self.tail()}") from None
        self.check_clean()
        check(code == 0 or not self.is_ours, f"{self.name} ended with {code}:\n{self.tail()}")
        self.process = None

    def kill(self):
        """SIGKILL: what a crash or a power cut looks like to the others."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
        self.check_clean()
        self.process = None

    def check_clean(self):
        if self.is_ours:
            report = REPORTS.search(self.log())
            check(not report, f"{self.name} reports a bug:\n"
                  + (self.log()[max(0, report.start() - 200):][:6000] if report else ""))

    def tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])


def parse_metrics(text):
    """Prometheus text → {"name{labels}": value}; every line must be well formed."""
    values = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (-?[\d.eE+-]+|NaN|[+-]?Inf)', line)
        check(match, f"not a line of Prometheus text: {line!r}")
        check(match[1] not in values, f"{match[1]} stands twice")
        values[match[1]] = float(match[2])
    return values


def _run_case(name, function, arguments):
    try:
        function(*arguments)
    except Exception:  # any failure of a case is one
        print(f"FAIL {name}")
        traceback.print_exc(file=sys.stdout)
        return False
    finally:
        sys.stdout.flush()
    print(f"ok {name}", flush=True)
    return True


def main(build=None):
    """Runs the cases of the file; with arguments only those whose name contains one of them."""
    wanted = sys.argv[1:]
    chosen = [c for c in _cases if not wanted or any(word in c[0] for word in wanted)]
    has_failed = not chosen
    site = None
    # The runner's SIGTERM ends the test by an exception, so that `finally` stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    try:
        if build is not None and any(takes_site for _, _, takes_site in chosen):
            made = []
            if not _run_case("the_site_starts", lambda: made.append(build()), ()):
                sys.exit(1)
            site = made[0]
        for name, function, takes_site in chosen:
            if not _run_case(name, function, (site,) if takes_site else ()):
                has_failed = True
        if site is not None:
            if has_failed:
                site.print_logs()
            has_failed |= not _run_case("the_site_stops_cleanly", site.stop, ())
    finally:
        for clean_up in cleanups:
            clean_up()
    sys.exit(1 if has_failed else 0)

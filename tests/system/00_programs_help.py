#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What every program says about itself, and how it refuses what it does not know."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case_table, check, check_equal, check_in, main, run_program  # noqa: E402

DAEMONS = {"gslb-dns": "gslb-dns", "edge-proxy": "edge-proxy"}
PROGRAMS = {**DAEMONS, "gslbctl": "gslbctl"}
MISTAKE = 2     # wrong command line
FAILURE = 1     # wrong configuration


@case_table(PROGRAMS)
def help_goes_to_stdout(program):
    result = run_program(program, "--help")
    check_equal(result.returncode, 0, "exit code")
    check_equal(result.stderr, "", "stderr")
    check_in(program, result.stdout)
    check(result.stdout.count("\n") > 3, "the help is longer than three lines")


@case_table(PROGRAMS)
def version_is_one_line(program):
    result = run_program(program, "--version")
    check_equal(result.returncode, 0, "exit code")
    check(re.fullmatch(rf"{program} \d+\.\d+\.\d+\S*\n", result.stdout),
          f"the version is {result.stdout!r}")


@case_table(PROGRAMS)
def unknown_flag_is_refused(program):
    result = run_program(program, "--no-such-flag")
    check_equal(result.returncode, MISTAKE, "exit code")
    check_equal(result.stdout, "", "stdout")
    check_in("no-such-flag", result.stderr)
    check_in("--help", result.stderr, "the message says where to look")


@case_table(DAEMONS)
def configuration_is_required(program):
    result = run_program(program)
    check_equal(result.returncode, MISTAKE, "exit code")
    check_in("-c", result.stderr)


@case_table(DAEMONS)
def missing_file_is_named(program):
    for check_only in ((), ("--check",)):
        result = run_program(program, "-c", "/nonexistent/site.yaml", *check_only)
        check_equal(result.returncode, FAILURE, "exit code")
        check_in("/nonexistent/site.yaml", result.stderr)
        check_in("No such file", result.stderr)


@case_table(DAEMONS)
def empty_file_says_what_is_missing(program):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write("# nothing yet\n")
        config.flush()
        result = run_program(program, "-c", config.name, "--check")
    check_equal(result.returncode, FAILURE, "exit code")
    check_in(config.name, result.stderr)


@case_table({"no command": (), "unknown command": ("frobnicate",), "too few": ("explain",),
             "too many": ("status", "extra")})
def gslbctl_refuses_what_is_no_command(*args):
    result = run_program("gslbctl", *args)
    check_equal(result.returncode, MISTAKE, "exit code")
    check_equal(result.stdout, "", "stdout")
    check(result.stderr, "it says why")


@case_table({"status": ("status",), "explain": ("explain", "www.example.com", "192.0.2.1"),
             "drain": ("drain", "eu-west-1")})
def gslbctl_says_when_nobody_listens(*args):
    result = run_program("gslbctl", "-s", "/nonexistent/ns1.sock", *args)
    check(result.returncode not in (0, MISTAKE), f"exit code {result.returncode}")
    check_in("/nonexistent/ns1.sock", result.stderr)


main()

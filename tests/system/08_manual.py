#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the programs say about themselves stands in their manual pages, and the reverse. That the
pages of the configurations have every key is checked where the keys are: tests/unit/*/config."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import TOP, case, case_table, check, check_equal, main, run_program  # noqa: E402

PAGES = {"gslb-dns": "gslb-dns.8", "edge-proxy": "edge-proxy.8", "gslbctl": "gslbctl.1"}
DAEMONS = {program: program for program in ("gslb-dns", "edge-proxy")}
NOT_TOLD = {"gslbctl": {"NO_COLOR"}}    # what every program obeys is in the manual alone


def page(program):
    return (TOP / "deploy/man" / PAGES[program]).read_text()


def section(program, name):
    return re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", page(program), re.M | re.S)[1]


def help_of(program, *command):
    result = run_program(program, *command, "--help")
    check_equal(result.returncode, 0, result.stderr)
    return result.stdout


def gslbctl_commands():
    """{name: the arguments as the help shows them}"""
    listed = re.search(r"^commands:\n(.*?)\n\n", help_of("gslbctl"), re.M | re.S)[1]
    return {line.split()[0]: re.split(r"\s{2,}", line.strip()[12:].strip())[0]
            for line in listed.splitlines()}


def options_told(program):
    text = help_of(program)
    if program == "gslbctl":
        text += "".join(help_of(program, command) for command in gslbctl_commands())
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text))


@case_table({program: program for program in PAGES})
def long_options_are_the_same(program):
    in_page = set(re.findall(r"Fl \\-([a-z][a-z-]*)", page(program)))
    check_equal(in_page, options_told(program), "the manual's and the help's")


@case_table({program: program for program in PAGES})
def short_options_are_the_same(program):
    pattern = r"^\s+-([a-zA-Z]), --([a-z-]+)"
    told = set(re.findall(pattern, help_of(program), re.M))
    in_page = set(re.findall(r"^\.It Fl ([a-zA-Z]) , Fl \\-([a-z-]+)", page(program), re.M))
    check(told, "the help has short options")
    check_equal(in_page, told, "the manual's and the help's")


@case_table({program: program for program in PAGES})
def every_documented_option_is_taken(program):
    """--help after it ends the program before it does anything."""
    is_of_keys = False
    for line in re.findall(r"^\.(?:It|Sh) (Fl .*|[A-Z].*)", page(program), re.M):
        if not line.startswith("Fl "):
            is_of_keys = line == "KEYS"
            continue
        takes_value = " Ar " in line
        for option in re.findall(r"Fl (\S+)", line):
            flag = option.replace("\\-", "--") if option.startswith("\\-") else f"-{option}"
            result = run_program(program, *(["keygen"] if is_of_keys else []), flag,
                                 *(["x"] if takes_value else []), "--help")
            check_equal(result.returncode, 0, f"{flag}: {result.stderr}")


@case
def gslbctl_commands_are_the_same():
    told = gslbctl_commands()
    described = re.findall(r"^\.It Cm ([\w-]+)", page("gslbctl"), re.M)
    check_equal(sorted(described), sorted(told), "the manual's list and the help's")
    check_equal(re.findall(r"^\.Cm ([\w-]+)", section("gslbctl", "SYNOPSIS"), re.M), list(told),
                "the synopsis and the help's list")


@case
def gslbctl_arguments_are_the_same():
    items = dict(re.findall(r"^\.It Cm ([\w-]+) ?(.*)", page("gslbctl"), re.M))
    for command, arguments in gslbctl_commands().items():
        told = [word.lower() for word in re.findall(r"[A-Z-]{2,}\b", arguments.split("[")[0])]
        wanted = re.match(r"Ar ([a-z -]+?)(?= O[po]|$)", items[command])
        check_equal((wanted[1].split() if wanted else []), told, command)
        check_equal(set(re.findall(r"Fl \\-([a-z-]+)", items[command])),
                    set(re.findall(r"--([a-z-]+)", arguments)), command)


@case
def gslbctl_environment_is_the_same():
    told = set(re.findall(r"\b[A-Z]+_[A-Z]+\b", help_of("gslbctl")))
    lines = re.findall(r"^\.It Ev (.*)", section("gslbctl", "ENVIRONMENT"), re.M)
    in_page = {name for line in lines for name in re.findall(r"\w+", line)}
    check_equal(in_page - NOT_TOLD["gslbctl"], told, "the manual's and the help's")


@case_table(DAEMONS)
def signals_are_the_same(program):
    told = re.search(r"^Signals: (.*?)\.\n", help_of(program), re.M | re.S)[1]
    in_page = set(re.findall(r"SIG([A-Z0-9]+)", section(program, "SIGNALS")))
    check_equal(in_page, set(re.findall(r"\b(?:HUP|INT|TERM|USR\d)\b", told)), "signals")


@case_table({program: program for program in PAGES})
def exit_codes_are_the_same(program):
    told = re.search(r"^exit codes?: (.*)", help_of(program), re.M | re.I)[1]
    in_page = re.findall(r"^\.It (\d)", section(program, "EXIT STATUS"), re.M)
    check_equal(in_page, re.findall(r"\b\d\b", told), "exit codes")


@case
def access_log_members_are_the_same():
    source = (TOP / "edge-proxy/request/access_log.c").read_text()
    written = re.findall(r'\\"(\w+)\\":', source)
    lines = re.findall(r"^\.It Ic (.*)", section("edge-proxy", "ACCESS LOG"), re.M)
    check(len(written) > 10, "the source has them")
    check_equal([name for line in lines for name in line.split(" , ")], written, "in this order")


main()

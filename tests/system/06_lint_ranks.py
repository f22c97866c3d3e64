#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""tests/lint: a tree with one mistake in it fails, with the mistake named; one without passes."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import TOP, case, case_table, check_equal, check_in, main  # noqa: E402

SPDX = "/* SPDX-License-Identifier: BSD-2-Clause */\n"


def lint(tool, files):
    """Runs a lint tool over a tree of these files: {path: text}."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        (tree / "tests/lint").mkdir(parents=True)
        shutil.copy(TOP / "tests/lint/ranks.txt", tree / "tests/lint")
        shutil.copy(TOP / ".clang-format", tree)
        for path, text in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
        return subprocess.run([TOP / "tests/lint" / tool, tree], capture_output=True, text=True,
                              check=False)


def include(header):
    return f"{SPDX}#include {header}\n"


@case_table({
    "up": ("gslb-dns/wire/wire.c", '"gslb-dns/answer/answer.h"', "answer stands above wire"),
    "past the door": ("gslb-dns/answer/answer.c", '"gslb-dns/zone/zone_internal.h"', "its door is"),
    "other program": ("edge-proxy/http/http.c", '"gslb-dns/wire/wire.h"', "may not use"),
    "common into program": ("common/text/text.c", '"gslb-dns/wire/wire.h"', "may not use"),
    "gslbctl into the server": ("gslb-dns/gslbctl/main.c", '"gslb-dns/wire/wire.h"',
                                "different programs"),
    "library": ("gslb-dns/answer/answer.c", "<ldns/ldns.h>", "only gslb-dns/zone"),
    "relative path": ("gslb-dns/answer/answer.c", '"answer.h"', "from the top"),
    "unknown room": ("gslb-dns/attic/attic.c", '"common/base/base.h"', "no place in"),
})
def wrong_include_is_named(path, header, wanted):
    result = lint("ranks", {path: include(header)})
    check_equal(result.returncode, 1, result.stderr)
    check_in(path, result.stderr)
    check_in(wanted, result.stderr)


@case
def right_includes_pass():
    result = lint("ranks", {
        "gslb-dns/answer/answer.c": include('"gslb-dns/answer/answer_internal.h"')
                                    + '#include "gslb-dns/zone/zone.h"\n'
                                      '#include "common/text/text.h"\n#include <stdio.h>\n',
        "gslb-dns/zone/read.c": include("<ldns/ldns.h>"),
    })
    check_equal((result.returncode, result.stderr), (0, ""))


@case
def an_empty_tree_does_not_pass():
    check_equal(lint("ranks", {}).returncode, 1)


@case_table({
    "no licence": ("common/a/a.c", "int a;\n", "licence"),
    "banned call": ("common/a/a.c", SPDX + "int f(char *s)\n{\n    return atoi(s);\n}\n", "atoi"),
    "typedef": ("common/a/a.h", SPDX + "typedef struct a a;\n", "typedef"),
    "layout": ("common/a/a.c", SPDX + "int  f( void );\n", "clang-format"),
    "length": ("common/a/a.c", SPDX + "int a;\n" * 600, "at most 600"),
    "put off": ("common/a/a.c", SPDX + "/* TO" "DO */\n", "put off"),
    "shell": ("deploy/a", "#!/bin/sh\n# SPDX-License-Identifier: BSD-2-Clause\necho $1\n", "SC2086"),
    "python": ("deploy/a.py", "# SPDX-License-Identifier: BSD-2-Clause\ndef\n", "invalid syntax"),
    "manual": ("deploy/man/a.8", ".Dd today\n.Dt A 8\n.Os\n.Sh NAME\n.Nm a\n.Nd b\n.Foo\n", "mandoc"),
})
def bad_style_is_named(path, text, wanted):
    result = lint("style", {path: text})
    check_equal(result.returncode, 1, result.stderr)
    check_in(path, result.stderr)
    check_in(wanted, result.stderr)


@case
def good_style_passes():
    code = SPDX + "/* not atoi() */\nconst char *s = \"strcpy(a, b)\";\n"
    result = lint("style", {"common/a/a.c": code})
    check_equal((result.returncode, result.stderr), (0, ""))


ROOMS = ("| gslb-dns | its job |\n|---|---|\n| `answer` | answers |\n| `wire` | reads |\n\n"
         "| edge-proxy | its job |\n|---|---|\n| `http` | reads |\n\n| common | its job |\n|---|---|\n")
FOLDERS = {f"{room}/x.c": SPDX for room in ("gslb-dns/answer", "gslb-dns/wire", "edge-proxy/http")}


@case_table({
    "right": ("", "", 0, ""),
    "missing": ("| `wire` | reads |\n", "", 1, "gslb-dns/wire is missing"),
    "stale": ("| `http`", "| `nosuch` | gone |\n| `http`", 1, "there is no room edge-proxy/nosuch"),
    "twice": ("| `http`", "| `http` | again |\n| `http`", 1, "http stands here more than once"),
    "order": ("| `answer` | answers |\n| `wire` | reads |", "| `wire` | reads |\n| `answer` | answers |",
              1, "answer comes here"),
    "empty": ("| answers |", "|  |", 1, "one sentence"),
})
def rooms_of_the_readme(old, new, code, message):
    result = lint("rooms", {**FOLDERS, "README.md": "## Rooms\n\n" + ROOMS.replace(old, new)})
    check_equal(result.returncode, code, result.stderr)
    check_in(message, result.stderr)


main()

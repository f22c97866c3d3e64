# SPDX-License-Identifier: BSD-2-Clause
"""Zones signed by tools that nobody here wrote, ldns-signzone and dnssec-signzone: NSEC, NSEC3,
opt-out, several algorithms, salts and iterations."""

import pathlib
import shutil
import subprocess

ALGORITHMS = ["ECDSAP256SHA256", "ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519", "RSASHA256"]
STYLES = ["nsec", "nsec", "nsec3", "nsec3 salted", "opt-out"]
PACKAGES = {"ldns-keygen": "ldnsutils", "ldns-signzone": "ldnsutils", "dnssec-signzone": "bind9-utils"}


def missing_packages():
    return sorted({package for tool, package in PACKAGES.items() if not find(tool)})


def find(tool):
    return shutil.which(tool, path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin")


def run(folder, *argv):
    return subprocess.run([find(argv[0]), *map(str, argv[1:])], cwd=folder, capture_output=True, text=True,
                          check=False, timeout=60)


def by_ldns(folder, apex, path, out, style, keys):
    options = {"nsec": [], "nsec3": ["-n", "-t", "0"], "nsec3 salted": ["-n", "-s", "ab12cd", "-t", "3"],
               "opt-out": ["-n", "-p", "-t", "0"]}[style]
    return run(folder, "ldns-signzone", "-o", apex, "-f", out, *options, path, *keys)


def by_bind(folder, apex, path, out, style, keys):
    options = {"nsec": [], "nsec3": ["-3", "-", "-H", "0"], "nsec3 salted": ["-3", "ab12cd", "-H", "3"],
               "opt-out": ["-3", "-", "-H", "0", "-A"]}[style]
    return run(folder, "dnssec-signzone", "-P", "-o", apex, "-f", out, *options, "-k", keys[0], path, keys[1])


# NSD takes an absolute name whose first label is a backslash, as the signers write it, for another.
NO_NAME_FOR_NSD = "\\\\ "


def without_backslash(text):
    return "\n".join(line for line in text.split("\n") if not line.startswith(NO_NAME_FOR_NSD))


class Signed:
    """What became of one zone: .path to serve, .how it was signed, "" if no tool would."""

    def __init__(self, path, how):
        self.path, self.how = path, how


def make_keys(folder, apex, algorithm):
    """A KSK and a ZSK, by their names without suffix."""
    keys = []
    for options in (["-k"], []):
        bits = ["-b", "2048"] if algorithm.startswith("RSA") else []
        result = run(folder, "ldns-keygen", "-a", algorithm, *bits, *options, apex)
        keys.append(result.stdout.strip())
    return keys


def sign_zone(rng, folder, apex, path):
    algorithm, style = rng.choice(ALGORITHMS), rng.choice(STYLES)
    tools = rng.sample([by_ldns, by_bind], 2)
    here = folder / apex.rstrip(".").replace("/", "-")
    here.mkdir()
    keys = make_keys(here, apex, algorithm)
    for tool in tools:
        # BIND wants the public keys in the zone file: its name for this is an $INCLUDE.
        text, out = without_backslash(pathlib.Path(path).read_text()), here / f"{tool.__name__}.zone"
        source = here / "unsigned.zone"
        source.write_text(text + ("".join((here / f"{key}.key").read_text() for key in keys)
                                  if tool is by_bind else ""))
        result = tool(here, apex, source, out, style, keys)
        if result.returncode == 0 and out.exists():
            return Signed(out, f"{tool.__name__[3:]} {style} {algorithm}")
    return Signed(path, "")


def sign_zones(rng, folder, files):
    """{apex: Signed} for {apex: zone file}; some zones stay as they are, so that both kinds meet."""
    folder.mkdir()
    return {apex: Signed(path, "") if rng.random() < 0.1 else sign_zone(rng, folder, apex, path)
            for apex, path in files.items()}

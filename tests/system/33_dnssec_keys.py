#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Keys of zones: made by gslb-dns keygen, exchanged with the tools of BIND and ldns."""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case, case_table, check, check_equal, check_in, main, run_program  # noqa: E402

ALGORITHMS = {"ECDSAP256SHA256": 13, "ECDSAP384SHA384": 14, "ED25519": 15}


def keygen(folder, *args):
    result = run_program("gslb-dns", "keygen", "-d", folder, *args)
    check_equal(result.returncode, 0, result.stderr)
    return result.stdout.splitlines()


def ds_of(folder, zone="example.com"):
    return run_program("gslb-dns", "ds", "-d", folder, zone)


def words(text):
    """DS records without case and without spaces within the digest."""
    found = re.findall(r"^(\S+?)\.?\s(?:\d+\s)?\s*IN\s+DS\s+(\d+) (\d+) (\d+) ([0-9A-Fa-f ]+)", text,
                       re.M)
    return {(zone.lower(), tag, algorithm, digest, value.replace(" ", "").lower())
            for zone, tag, algorithm, digest, value in found}


@case_table({name: name for name in ALGORITHMS})
def ds_is_that_of_the_peers(algorithm):
    with tempfile.TemporaryDirectory() as folder:
        public, private, ds = keygen(folder, "-a", algorithm, "Example.com")
        number = ALGORITHMS[algorithm]
        check(re.search(rf"/Kexample\.com\.\+{number:03}\+\d{{5}}\.key$", public), public)
        check_equal(stat.S_IMODE(os.stat(private).st_mode), 0o600, "mode of the private key")
        ours = words(ds_of(folder).stdout)
        check_equal(len(ours), 2, "SHA-256 and SHA-384")
        check(words(ds) <= ours, "keygen prints one of them")
        if shutil.which("dnssec-dsfromkey"):
            theirs = subprocess.run(["dnssec-dsfromkey", "-a", "SHA-256", "-a", "SHA-384", public],
                                    capture_output=True, text=True, check=True).stdout
            check_equal(ours, words(theirs), "dnssec-dsfromkey")
        if shutil.which("ldns-key2ds"):
            theirs = subprocess.run(["ldns-key2ds", "-n", "-2", public], capture_output=True,
                                    text=True, check=True).stdout
            check(words(theirs.replace("\t", " ")) <= ours, f"ldns-key2ds: {theirs}")


@case
def split_keys_have_one_ds():
    with tempfile.TemporaryDirectory() as folder:
        lines = keygen(folder, "--split", "example.com")
        check_equal(len(lines), 5, "four files and a DS")
        flags = [re.search(r"DNSKEY (\d+)", pathlib.Path(line).read_text())[1]
                 for line in lines if line.endswith(".key")]
        check_equal(flags, ["257", "256"], "a key-signing and a zone-signing key")
        check_equal(len(words(ds_of(folder).stdout)), 2, "DS of the key-signing key alone")


@case
def bind_reads_our_times():
    if not shutil.which("dnssec-settime"):
        return
    with tempfile.TemporaryDirectory() as folder:
        public = keygen(folder, "example.com")[0]
        told = subprocess.run(["dnssec-settime", "-u", "-p", "all", public], capture_output=True,
                              text=True, check=True).stdout
        for what in ("Created", "Publish", "Activate"):
            check(re.search(rf"^{what}: \d+$", told, re.M), f"{what} in {told}")


def keys_of(tool, folder):
    commands = {
        "dnssec-keygen": ["dnssec-keygen", "-q", "-K", folder, "-a", "ECDSAP256SHA256", "-f", "KSK",
                          "example.com"],
        "ldns-keygen": ["ldns-keygen", "-k", "-a", "ECDSAP256SHA256", "example.com"],
    }
    subprocess.run(commands[tool], cwd=folder, capture_output=True, check=True)


@case_table({"dnssec-keygen": "dnssec-keygen", "ldns-keygen": "ldns-keygen"})
def keys_of_the_peers_are_read(tool):
    if not shutil.which(tool):
        return
    with tempfile.TemporaryDirectory() as folder:
        keys_of(tool, folder)
        result = ds_of(folder)
        check_equal(result.returncode, 0, result.stderr)
        check_equal(len(words(result.stdout)), 2, result.stdout)


def read_by_others(public, private):
    os.chmod(private, 0o644)


def of_another_zone(public, private):
    text = public.read_text()
    public.write_text(text.replace("\nexample.com.", "\nexample.net."))


def public_of_another_key(public, private):
    public.write_text(re.sub(r"(DNSKEY 257 3 13 )....", r"\1AAAA", public.read_text()))


def another_tag(public, private):
    for path in (public, private):
        path.rename(re.sub(r"\+\d{5}\.", "+00001.", str(path)))


def deprecated(public, private):
    private.write_text("Private-key-format: v1.3\nAlgorithm: 7 (NSEC3RSASHA1)\nModulus: AAAA\n")


def rsa(public, private):
    private.write_text("Private-key-format: v1.3\nAlgorithm: 8 (RSASHA256)\nModulus: AAAA\n")


def bad_time(public, private):
    private.write_text(re.sub(r"Publish: \d+", "Publish: 20261350000000", private.read_text()))


def no_base64(public, private):
    private.write_text(re.sub(r"PrivateKey: ....", "PrivateKey: !!!!", private.read_text()))


@case_table({
    "readable by others": (read_by_others, ["can be read by others (mode 0644)", "chmod 600 "]),
    "another zone": (of_another_zone, ["is the key of another zone"]),
    "another public key": (public_of_another_key, ["not the public half of the private key"]),
    "another tag": (another_tag, ["should end in +013+"]),
    "deprecated": (deprecated, ["RSASHA1", "must not be signed with", "gslb-dns keygen"]),
    "not supported": (rsa, ["RSASHA256", "is not supported", "gslb-dns keygen"]),
    "no time": (bad_time, ["Publish: is no time", "YYYYMMDDHHMMSS"]),
    "no key": (no_base64, ["PrivateKey: is not a key"]),
    "no public key": (lambda public, private: public.unlink(), ["cannot read the public key"]),
})
def bad_keys_are_refused(spoil, wanted):
    with tempfile.TemporaryDirectory() as folder:
        public, private, _ = keygen(folder, "example.com")
        secret = re.search(r"PrivateKey: (\S+)", pathlib.Path(private).read_text())[1]
        spoil(pathlib.Path(public), pathlib.Path(private))
        result = ds_of(folder)
        check_equal(result.returncode, 1, "exit code")
        for part in wanted:
            check_in(part, result.stderr)
        check(secret[8:] not in result.stderr + result.stdout, "the secret stays in its file")


@case_table({
    "no zone": (["keygen"], 2, "usage:"),
    "two zones": (["keygen", "a.example", "b.example"], 2, "usage:"),
    "no such algorithm": (["keygen", "-a", "RSASHA1", "a.example"], 2, "no algorithm to sign with"),
    "not a name": (["keygen", "a..b"], 1, "not a name"),
    "no directory": (["ds", "-d", "/nonexistent", "a.example"], 1, "/nonexistent"),
})
def mistakes_are_told(args, code, wanted):
    with tempfile.TemporaryDirectory() as folder:
        result = run_program("gslb-dns", *args, cwd=folder)
        check_equal(result.returncode, code, result.stderr)
        check_in(wanted, result.stderr)


@case
def an_empty_directory_says_what_to_do():
    with tempfile.TemporaryDirectory() as folder:
        result = ds_of(folder)
        check_equal(result.returncode, 1, result.stdout)
        check_in(f"gslb-dns keygen -d {folder} example.com.", result.stderr)


CONFIG = """listen: [127.0.0.1:53]
zones: {{example.com: {{file: zone, dnssec: {{keys: keys}}}}}}
"""
ZONE = """$TTL 60
@ SOA ns.example.com. root.example.com. 1 2 3 4 5
@ NS ns.example.com.
ns A 192.0.2.1
"""


def check_config(folder):
    (pathlib.Path(folder) / "gslb-dns.yaml").write_text(CONFIG.format())
    (pathlib.Path(folder) / "zone").write_text(ZONE.replace("@", "example.com.").replace(
        "\nns A", "\nns.example.com. A"))
    return run_program("gslb-dns", "--check", "-c", f"{folder}/gslb-dns.yaml")


@case
def a_signed_zone_needs_a_key():
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/keys")
        result = check_config(folder)
        check_equal(result.returncode, 1, result.stdout)
        check_in("gslb-dns.yaml:2:", result.stderr)
        check_in(f"gslb-dns keygen -d {folder}/keys example.com.", result.stderr)
        keygen(f"{folder}/keys", "example.com")
        result = check_config(folder)
        check_equal(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    sys.exit(main())

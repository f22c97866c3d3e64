# SPDX-License-Identifier: BSD-2-Clause
"""Does an answer prove what it says? A validator of single answers, on dnspython's signature check.

    zone = SignedZone("signed.test", dnskey_rrset)
    faults = zone.faults_of(message)        # [] where every validator would be content

Beyond the signatures, the proofs of what is not there: RFC 4035 section 5.4 (NSEC), RFC 5155
section 8 (NSEC3), RFC 9824 (compact denial), and that a wildcard was rightly used. What a resolver
may shrug off is a fault too: signatures missing where they are due, TTLs of a set and its
signature that differ, or a TTL above the one that was signed.
"""

import base64

import dns.dnssec
import dns.exception
import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype as T

NXNAME = 128
LONG_CHAIN = 10     # links behind which a server may leave the rest to the resolver
WITHOUT_PROOF = (T.RRSIG, T.ANY)     # what is asked for is an excerpt of what is there
BASE32HEX = bytes.maketrans(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def types_of(denial):
    """The types in the bitmap of an NSEC or NSEC3 record."""
    found = set()
    for window, bitmap in denial.windows:
        for i, byte in enumerate(bitmap):
            found |= {window * 256 + i * 8 + bit for bit in range(8) if byte & (0x80 >> bit)}
    return found


def is_cut(types):
    return T.NS in types and T.SOA not in types


class SignedZone:
    """What a validator knows of a zone: its apex and its keys. now: seconds, for other times;
    elsewhere: apexes below it that the same server has as zones of their own."""

    def __init__(self, origin, dnskeys, now=None, elsewhere=()):
        self.origin = dns.name.from_text(origin) if isinstance(origin, str) else origin
        self.keys, self.now, self.elsewhere = {self.origin: dnskeys}, now, elsewhere
        self.keys_rrset = dnskeys
        self.checked = {}

    def faults_of(self, message):
        return _Proof(self, message).faults()

    def signature_fault(self, rrset, rrsig):
        """None, or why this signature over this set is none. Each is worked out once."""
        key = (rrset.name, rrset.rdtype, frozenset(rrset), rrsig)
        if key not in self.checked:
            try:
                dns.dnssec.validate_rrsig(rrset, rrsig, self.keys, now=self.now)
                self.checked[key] = None
            except dns.exception.DNSException as error:
                self.checked[key] = str(error) or type(error).__name__
        return self.checked[key]


class _Proof:
    def __init__(self, zone, message):
        self.zone, self.origin, self.message = zone, zone.origin, message
        self.found = []
        self.question = message.question[0]
        self.nsecs, self.nsec3s = {}, {}     # owner → record; hash → record
        for rrset in message.authority:
            if rrset.rdtype == T.NSEC:
                self.nsecs[rrset.name] = rrset[0]
            elif rrset.rdtype == T.NSEC3:
                self.nsec3s[rrset.name.labels[0].upper().translate(BASE32HEX)] = rrset[0]

    def fault(self, text):
        self.found.append(text)

    def faults(self):
        message = self.message
        if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN):
            return [] if not message.answer else ["an error with an answer"]
        if message.flags & dns.flags.TC:
            return []
        self.check_signatures()
        name = self.follow_chain()
        if name is not None:
            self.check_end(name)
        return self.found

    # ---- signatures

    def check_signatures(self):
        for section in (self.message.answer, self.message.authority, self.message.additional):
            for rrset in section:
                if rrset.rdtype != T.RRSIG:
                    self.check_set(section, rrset)

    def check_set(self, section, rrset):
        signatures = next((other for other in section if other.rdtype == T.RRSIG
                           and other.covers == rrset.rdtype and other.name == rrset.name), None)
        what = f"{rrset.name} {T.to_text(rrset.rdtype)}"
        if not rrset.name.is_subdomain(self.origin):
            return
        if self.is_unsigned_by_nature(section, rrset):
            if signatures is not None:
                self.fault(f"{what} is signed though it is not the zone's own")
            return
        if signatures is None:
            if section is not self.message.additional:
                self.fault(f"{what} has no RRSIG")
            return
        if signatures.ttl != rrset.ttl:
            self.fault(f"{what}: TTL {rrset.ttl}, its RRSIG {signatures.ttl}")
        for rrsig in signatures:
            why = self.zone.signature_fault(rrset, rrsig)
            if why:
                self.fault(f"{what}: {why}")
            if rrsig.original_ttl < rrset.ttl:
                self.fault(f"{what}: TTL {rrset.ttl} above the signed {rrsig.original_ttl}")
            self.check_wildcard(section, rrset, rrsig)

    def is_unsigned_by_nature(self, section, rrset):
        """NS of a cut, glue below it, and the CNAME that a DNAME makes: RFC 4035 section 2.2,
        RFC 6672 section 5.3.1."""
        if rrset.rdtype == T.NS and rrset.name != self.origin:
            return True
        if section is self.message.additional:
            return any(cut.rdtype == T.NS and cut.name != self.origin
                       and rrset.name.is_subdomain(cut.name) for cut in self.message.authority)
        return rrset.rdtype == T.CNAME and self.dname_above(rrset.name) is not None

    def dname_above(self, name):
        return next((rrset for rrset in self.message.answer if rrset.rdtype == T.DNAME
                     and name != rrset.name and name.is_subdomain(rrset.name)), None)

    def check_wildcard(self, section, rrset, rrsig):
        """A name that a wildcard made must be proved not to be there itself."""
        n_labels = len(rrset.name) - 1
        if rrset.name.is_wild():
            n_labels -= 1
        if section is self.message.additional or rrsig.labels >= n_labels:
            return
        next_closer = rrset.name.split(rrsig.labels + 2)[1]
        if not (self.covering_nsec(rrset.name) or self.covering_nsec3(next_closer)):
            self.fault(f"{rrset.name} comes from a wildcard, and nothing denies {next_closer}")

    # ---- the end of the chain

    def follow_chain(self):
        """The name at which the question is decided, None: it is answered, or not here."""
        name, rdtype, seen = self.question.name, self.question.rdtype, set()
        if rdtype in WITHOUT_PROOF and self.message.answer:
            return None
        while name not in seen:
            seen.add(name)
            here = {rrset.rdtype: rrset for rrset in self.message.answer if rrset.name == name}
            if rdtype in here:
                return None
            if T.CNAME not in here:
                break
            self.check_synthesis(name, here[T.CNAME])
            name = here[T.CNAME][0].target
        else:
            return None     # a loop has no end to prove
        if self.dname_above(name) is not None and self.message.rcode() == dns.rcode.YXDOMAIN:
            return None
        is_here = name.is_subdomain(self.origin) and not any(
            name.is_subdomain(apex) for apex in self.zone.elsewhere
            if (name, rdtype) != (apex, T.DS))
        return name if is_here else None

    def check_synthesis(self, name, cname):
        dname = self.dname_above(name)
        if dname is not None:
            wanted = name.relativize(dname.name) + dname[0].target
            if cname[0].target != wanted:
                self.fault(f"{name} CNAME {cname[0].target}, the DNAME wants {wanted}")

    def check_end(self, name):
        message = self.message
        cut = next((rrset for rrset in message.authority if rrset.rdtype == T.NS
                    and rrset.name != self.origin), None)
        if message.rcode() == dns.rcode.NXDOMAIN:
            self.check_nxdomain(name)
        elif cut is not None:
            self.check_referral(cut.name)
        elif any(rrset.rdtype == T.SOA for rrset in message.authority):
            self.check_nodata(name, self.question.rdtype)
        elif len([rrset for rrset in message.answer if rrset.rdtype == T.CNAME]) < LONG_CHAIN:
            self.fault(f"nothing is said of {name}, where the chain ends")

    def check_referral(self, cut):
        if not any(rrset.rdtype == T.DS and rrset.name == cut for rrset in self.message.authority):
            self.check_nodata(cut, T.DS)

    def check_nodata(self, name, rdtype):
        if not (self.nodata_by_nsec(name, rdtype) or self.nodata_by_nsec3(name, rdtype)):
            self.fault(f"nothing proves that {name} has no {T.to_text(rdtype)}")

    def check_nxdomain(self, name):
        if not (self.nxdomain_by_nsec(name) or self.nxdomain_by_nsec3(name)):
            self.fault(f"nothing proves that {name} does not exist")

    def denies(self, types, name, rdtype):
        """A bitmap at the very name (or its wildcard) under which the type is not there."""
        if rdtype in types or T.CNAME in types and rdtype != T.CNAME:
            return False
        if rdtype == T.DS and name != self.origin:
            return T.SOA not in types       # RFC 4035 section 5.2: the parent's side
        return not is_cut(types)

    # ---- NSEC

    def covering_nsec(self, name):
        """(owner, record) of the NSEC that leaps over the name, None: there is none."""
        for owner, nsec in self.nsecs.items():
            if owner < name and (name < nsec.next or nsec.next == self.origin):
                types = types_of(nsec)
                if not (name.is_subdomain(owner) and (is_cut(types) or T.DNAME in types)):
                    return owner, nsec
        return None

    def closest_encloser(self, name, owner, nsec):
        """The longest name above it that the NSEC shows to exist."""
        common = [name.fullcompare(other)[2] for other in (owner, nsec.next)]
        return name.split(max(common))[1]

    def nodata_by_nsec(self, name, rdtype):
        if name in self.nsecs:
            return self.denies(types_of(self.nsecs[name]), name, rdtype)
        covering = self.covering_nsec(name)
        if covering is None:
            return False
        if covering[1].next.is_subdomain(name):
            return True                     # an empty non-terminal
        wildcard = dns.name.Name([b"*"]).concatenate(self.closest_encloser(name, *covering))
        if wildcard in self.nsecs:
            return self.denies(types_of(self.nsecs[wildcard]), wildcard, rdtype)
        above = self.covering_nsec(wildcard)
        return above is not None and above[1].next.is_subdomain(wildcard)    # it is empty, too

    def nxdomain_by_nsec(self, name):
        if name in self.nsecs:
            return NXNAME in types_of(self.nsecs[name])
        covering = self.covering_nsec(name)
        if covering is None or covering[1].next.is_subdomain(name):
            return False
        wildcard = dns.name.Name([b"*"]).concatenate(self.closest_encloser(name, *covering))
        above = self.covering_nsec(wildcard)
        return above is not None and not above[1].next.is_subdomain(wildcard)

    # ---- NSEC3

    def hash_of(self, name):
        record = next(iter(self.nsec3s.values()))
        text = dns.dnssec.nsec3_hash(name, record.salt, record.iterations, record.algorithm)
        return text.encode().upper().translate(BASE32HEX)

    def matching_nsec3(self, name):
        return self.nsec3s.get(self.hash_of(name)) if self.nsec3s else None

    def covering_nsec3(self, name):
        if not self.nsec3s:
            return None
        wanted = self.order(self.hash_of(name))
        for hashed, record in self.nsec3s.items():
            mine, after = self.order(hashed), record.next
            if mine < wanted < after or after <= mine and (wanted > mine or wanted < after):
                return record
        return None

    @staticmethod
    def order(hashed):
        """Base32 text as the bytes that are compared."""
        return base64.b32decode(hashed)

    def encloser_by_nsec3(self, name):
        """(closest encloser, the record that covers the next closer name), None: no such proof."""
        for n in range(len(name) - 1, len(self.origin) - 1, -1):
            encloser = name.split(n)[1]
            record = self.matching_nsec3(encloser)
            if record is not None:
                types, covering = types_of(record), self.covering_nsec3(name.split(n + 1)[1])
                is_fit = not is_cut(types) and T.DNAME not in types
                return (encloser, covering) if covering is not None and is_fit else None
        return None

    def nodata_by_nsec3(self, name, rdtype):
        record = self.matching_nsec3(name)
        if record is not None:
            return self.denies(types_of(record), name, rdtype)
        proof = self.encloser_by_nsec3(name)
        if proof is None:
            return False
        if proof[1].flags & 1:
            return True                     # opt-out: RFC 5155 section 8.6, and names made by such cuts
        wildcard = dns.name.Name([b"*"]).concatenate(proof[0])
        record = self.matching_nsec3(wildcard)
        return record is not None and self.denies(types_of(record), wildcard, rdtype)

    def nxdomain_by_nsec3(self, name):
        proof = self.encloser_by_nsec3(name)
        wildcard = proof and dns.name.Name([b"*"]).concatenate(proof[0])
        return proof is not None and self.covering_nsec3(wildcard) is not None

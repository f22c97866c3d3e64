/* SPDX-License-Identifier: BSD-2-Clause */
/* What gslb-dns.yaml can say of a zone: its file, keys, transfers. */
#include "gslb-dns/config/config_internal.h"

#include <string.h>

const char *config_check_dns_name(struct str *name, const char *extra)
{
    size_t label = 0;

    if (str_is(*name, "."))
        return NULL;
    if (name->p[name->n - 1] == '.')
        name->n--;
    if (name->n > 253)
        return "is longer than a name in DNS can be (253 characters)";
    for (size_t i = 0; i < name->n; i++) {
        uint8_t c = (uint8_t)name->p[i];

        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return "has a label longer than 63 characters";
        if (label == 0 && (i == 0 || i + 1 == name->n || name->p[i - 1] == '.'))
            return "has an empty label";
        if (c != '.' && (uint8_t)(text_lower(c) - 'a') >= 26 && (uint8_t)(c - '0') >= 10 &&
            strchr(extra, c) == NULL)
            return "is not a name in DNS: letters, digits, '-' and '_' in labels between dots";
    }
    return NULL;
}

/* Reverse zones of small networks carry a '/' (RFC 2317 section 4). */
static const char *check_zone_name(struct str *name)
{
    return config_check_dns_name(name, "-_/");
}

static const char *check_key_name(struct str *name)
{
    return config_check_dns_name(name, "-_");
}

static const char *check_salt(struct str text)
{
    if (text.n % 2 != 0 || text.n > 510)
        return "must be at most 255 bytes, two hexadecimal digits each";
    for (size_t i = 0; i < text.n; i++)
        if ((uint8_t)(text.p[i] - '0') >= 10 &&
            (uint8_t)(text_lower((uint8_t)text.p[i]) - 'a') >= 6)
            return "must be hexadecimal digits";
    return NULL;
}

static const struct conf_field NSEC3_FIELDS[] = {
    {
        .key = "opt-out",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct config_dnssec, is_nsec3_opt_out),
        .preset = "no",
        .help = "Leaves delegations without DS out of the chain, for zones of very many of them.",
    },
    {
        .key = "salt",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_dnssec, nsec3_salt),
        .none = "-",
        .check = check_salt,
        .help = "Hexadecimal digits. Best left empty (RFC 9276 section 3.1).",
    },
    {
        .key = "iterations",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_dnssec, nsec3_iterations),
        .preset = "0",
        .max = "50",
        .unit = "additional hashes",
        .help = "Best left at 0: validators may treat a zone with more as unsigned (RFC 9276 "
                "section 3.1).",
    },
};
static const struct conf_struct NSEC3 = {
    .what = "nsec3",
    .size = sizeof(struct config_dnssec),
    CONF_FIELDS(NSEC3_FIELDS),
};

static const struct conf_choice DENIALS[] = {
    {"nsec", CONFIG_NSEC}, {"nsec3", CONFIG_NSEC3}, {"compact", CONFIG_COMPACT}, {NULL, 0}};
static const struct conf_choice CDS[] = {
    {"yes", CONFIG_CDS_YES}, {"no", CONFIG_CDS_NO}, {"delete", CONFIG_CDS_DELETE}, {NULL, 0}};

static const struct conf_choice SIGNED_SERIALS[] = {{"increment", CONFIG_SERIAL_INCREMENT},
                                                    {"unixtime", CONFIG_SERIAL_UNIXTIME},
                                                    {"keep", CONFIG_SERIAL_KEEP},
                                                    {NULL, 0}};

static const struct conf_field DNSSEC_FIELDS[] = {
    {
        .key = "keys",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct config_dnssec, keys_path),
        .place = CONF_AT(struct config_dnssec, place),
        .is_required = true,
        .help = "The directory of the zone's key files, as gslb-dns keygen, dnssec-keygen and "
                "ldns-keygen make them. May stand for the whole section: dnssec: keys. Zones may "
                "share a directory, and nodes with copies of it give equal answers. It is looked "
                "at once a minute.",
    },
    {
        .key = "denial",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_dnssec, denial),
        .choices = DENIALS,
        .preset = "nsec",
        .help = "How the absence of names and types is proved: nsec; nsec3, which hides the names "
                "from casual listing (RFC 5155); compact, which makes small answers and hides the "
                "names altogether (RFC 9824). With compact, what a name that does not exist gets "
                "is signed when it is asked for, some 30 microseconds of work, for which each "
                "thread spends a quarter of its time at most; what goes beyond gets TC, and by "
                "TCP SERVFAIL (gslb_dns_online_signatures_refused_total). Such a name looks like "
                "one without data, NOERROR, unless the query has the CO flag. Not for zones with "
                "allow-transfer: a secondary has no key.",
    },
    {
        .key = "nsec3",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct config_dnssec),
        .of = &NSEC3,
        .help = "For denial: nsec3.",
    },
    {
        .key = "signature-validity",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, validity_s),
        .preset = "14d",
        .min = "1d",
        .max = "365d",
        .help = "How long a new signature is valid; longer where the zone's greatest TTL and its "
                "SOA's EXPIRE ask for it.",
    },
    {
        .key = "signature-refresh",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, refresh_s),
        .preset = "4d",
        .min = "2h",
        .max = "364d",
        .help = "A signature is replaced when so much of its validity is left, a share of the zone "
                "each hour.",
    },
    {
        .key = "dnskey-ttl",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, dnskey_ttl_s),
        .preset = "1h",
        .min = "1s",
        .max = "7d",
        .help = "Of the DNSKEY, CDS and CDNSKEY records. The shorter, the sooner a roll-over is "
                "done.",
    },
    {
        .key = "max-zone-ttl",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, zone_max_ttl_s),
        .preset = "1d",
        .min = "1s",
        .max = "28d",
        .help = "The greatest TTL of the zone's records: a roll-over waits so long until caches "
                "have dropped old signatures.",
    },
    {
        .key = "propagation-delay",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, propagation_delay_s),
        .preset = "1h",
        .max = "7d",
        .help = "Until all servers of the zone, secondaries too, have a change.",
    },
    {
        .key = "parent-ds-ttl",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, parent_ds_ttl_s),
        .preset = "1d",
        .max = "28d",
        .help = "The TTL of the DS records in the parent zone.",
    },
    {
        .key = "parent-propagation-delay",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_dnssec, parent_propagation_delay_s),
        .preset = "1h",
        .max = "7d",
        .help = "Until all servers of the parent zone have a change.",
    },
    {
        .key = "serial",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_dnssec, serial),
        .choices = SIGNED_SERIALS,
        .preset = "increment",
        .help = "The SOA serial that is served, so that secondaries fetch new signatures and keys. "
                "increment adds to the file's: 64 for each hour since 1970, and 1 for each step of "
                "a key in this hour. unixtime is the moment of the newest signatures "
                "or step, unless the file's serial is later, for files whose serials are such "
                "moments. keep serves the file's as it is, for zones without secondaries. Nothing "
                "is stored: nodes with equal files and keys agree, after a restart too. A change "
                "that the serial would not show (a reload that changes settings or keys) raises "
                "it by one. Who goes back to keep must raise the file's serial above the one that "
                "was served.",
    },
    {
        .key = "publish-cds",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_dnssec, cds),
        .choices = CDS,
        .preset = "yes",
        .help = "CDS and CDNSKEY records tell the parent which DS the zone wants (RFC 7344); "
                "delete asks it to remove them all, before a zone goes unsigned (RFC 8078).",
    },
};
static const struct conf_struct DNSSEC = {
    .what = "dnssec",
    .size = sizeof(struct config_dnssec),
    CONF_FIELDS(DNSSEC_FIELDS),
    .shorthand = "keys",
};

static const struct conf_choice SERIALS[] = {
    {"warn", CONFIG_SERIAL_WARN},
    {"strict", CONFIG_SERIAL_STRICT},
    {"any", CONFIG_SERIAL_ANY},
    {NULL, 0},
};

/* tsig's algorithms; a unit test keeps the two lists alike. */
static const struct conf_choice TSIG_ALGORITHMS[] = {
    {"hmac-sha256", 0}, {"hmac-sha384", 0}, {"hmac-sha512", 0},
    {"hmac-sha224", 0}, {"hmac-sha1", 0},   {NULL, 0},
};

static const struct conf_field TSIG_KEY_FIELDS[] = {
    {
        .key = "algorithm",
        .kind = CONF_WORD,
        .slot = CONF_ONE(struct config_tsig_key, algorithm),
        .choices = TSIG_ALGORITHMS,
        .preset = "hmac-sha256",
        .help = "How messages are digested.",
    },
    {
        .key = "secret-file",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_tsig_key, secret_path),
        .help = "A file with the secret: its base64 alone, or the key statement that tsig-keygen "
                "prints. It must not be readable by others.",
    },
    {
        .key = "secret",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct config_tsig_key, secret),
        .help = "The secret itself, base64, where this file is safe from others' eyes.",
    },
};
const struct conf_struct config_tsig_key_schema = {
    .what = "key",
    .size = sizeof(struct config_tsig_key),
    CONF_FIELDS(TSIG_KEY_FIELDS),
    .name = CONF_AT(struct config_tsig_key, name),
    .place = CONF_AT(struct config_tsig_key, place),
    .check_name = check_key_name,
};

static const struct conf_choice STEERED[] = {
    {"addresses", CONFIG_STEERED_ADDRESSES},
    {"omit", CONFIG_STEERED_OMIT},
    {NULL, 0},
};

static const struct conf_field ZONE_FIELDS[] = {
    {
        .key = "file",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct config_zone, path),
        .help = "Its zone file (RFC 1035 section 5). If it cannot be read, or is broken, the zone "
                "keeps its running version. May stand for the whole zone: "
                "example.com: zones/example.com.zone. A zone has either a file or primaries.",
    },
    {
        .key = "primaries",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct config_zone, transfers.primaries_text.texts,
                          transfers.primaries_text.n),
        .item_places = CONF_AT(struct config_zone, transfers.primaries_text.places),
        .max_items = 32,
        .expects = "an address, perhaps with \"key NAME\" and \"tls NAME\"",
        .help =
            "The zone is a copy of what these servers have, kept as new as theirs by the timers "
            "of its SOA and by their NOTIFY (AXFR, IXFR): addresses, with their port unless it "
            "is 53, perhaps \"key NAME\" of tsig-keys, and perhaps \"tls NAME\", which is DNS "
            "over TLS (RFC 9103, port 853) to a server whose certificate is for this name: "
            "[192.0.2.1 key backup, \"[2001:db8::1]:853 key backup tls ns1.example.net\"]. They "
            "are asked in turn. Until the first transfer, and once the copy has expired, the "
            "zone is answered SERVFAIL. It is served as it comes, signatures included; dnssec "
            "is not for it. Services may lie in it at names for which it has no address.",
    },
    {
        .key = "allow-notify",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct config_zone, transfers.notifiers_text.texts,
                          transfers.notifiers_text.n),
        .item_places = CONF_AT(struct config_zone, transfers.notifiers_text.places),
        .expects = "an address or prefix, \"key NAME\", or both",
        .help = "Who besides the primaries may say that the zone has changed (RFC 1996), in the "
                "words of allow-transfer. The primaries are asked then, never the sender.",
    },
    {
        .key = "dnssec",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct config_zone, dnssec),
        .of = &DNSSEC,
        .help = "Signs the zone and its services' answers. Only keys is required. Absent: the zone "
                "is served as its file has it, with the signatures that are there.",
    },
    {
        .key = "serial",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_zone, serial),
        .choices = SERIALS,
        .preset = "warn",
        .help = "What is said when the zone's data changes while the node runs and its file's SOA "
                "serial does not grow (RFC 1982), or when it goes back, so that secondaries do "
                "not notice: warn takes the new "
                "data with a warning, strict keeps the running version as if the file were broken, "
                "any says nothing.",
    },
    {
        .key = "allow-transfer",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct config_zone, transfers.allow_text.texts, transfers.allow_text.n),
        .item_places = CONF_AT(struct config_zone, transfers.allow_text.places),
        .expects = "an address or prefix, \"key NAME\", or both",
        .help = "Who may transfer the zone from here (AXFR and IXFR, over TCP and TLS): addresses, "
                "prefixes, \"key NAME\" of tsig-keys, or an address and its key: "
                "[192.0.2.0/24, 2001:db8::1 key backup]. Absent: nobody.",
    },
    {
        .key = "notify",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct config_zone, transfers.notify_text.texts, transfers.notify_text.n),
        .item_places = CONF_AT(struct config_zone, transfers.notify_text.places),
        .max_items = 256,
        .expects = "an address, perhaps with \"key NAME\"",
        .help = "Secondaries that are told when the zone has changed (RFC 1996): addresses, with "
                "their port unless it is 53, and perhaps \"key NAME\".",
    },
    {
        .key = "ixfr-history",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct config_zone, transfers.history_bytes),
        .preset = "4MiB",
        .max = "1GiB",
        .none = "off",
        .help = "How much of what changed from serial to serial is kept, in memory, so that "
                "secondaries fetch that alone (IXFR, RFC 1995); whoever has an older version, or "
                "one from before a restart, gets the whole zone. So does everybody while a "
                "service gives fewer addresses than it could, and who fetched while one did. "
                "Nothing is kept of zones without allow-transfer.",
    },
    {
        .key = "steered",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_zone, transfers.steered),
        .choices = STEERED,
        .preset = "addresses",
        .help = "What the zone's services are in transfers: all of their healthy addresses at "
                "that moment, or omit: nothing. A signed zone always has them, and where none of "
                "a family is healthy, all of that family.",
    },
};
const struct conf_struct config_zone_schema = {
    .what = "zone",
    .size = sizeof(struct config_zone),
    CONF_FIELDS(ZONE_FIELDS),
    .shorthand = "file",
    .name = CONF_AT(struct config_zone, name),
    .place = CONF_AT(struct config_zone, place),
    .check_name = check_zone_name,
};

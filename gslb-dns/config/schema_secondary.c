/* SPDX-License-Identifier: BSD-2-Clause */
/* What gslb-dns.yaml can say of zones that others are primaries of. */
#include "gslb-dns/config/config_internal.h"

static const struct conf_field SECONDARY_FIELDS[] = {
    {
        .key = "directory",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct config_secondary, directory),
        .place = CONF_AT(struct config_secondary, place),
        .help = "Where the copies of zones with primaries are kept, as NAME.zone, text that can be "
                "read: they are served from there after a restart, until they expire. It belongs "
                "to the user that gslb-dns runs as, and is made where only its last part is "
                "missing: /var/lib/gslb-dns/zones, below the state directory of the service. "
                "Required if a zone has primaries. May stand for the whole section.",
    },
    {
        .key = "ca",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_secondary, ca_path),
        .help =
            "Certificates of the CAs that stand behind primaries with \"tls NAME\". Absent: the "
            "system's.",
    },
    {
        .key = "transfers",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_secondary, transfers),
        .preset = "10",
        .min = "1",
        .max = "1000",
        .unit = "transfers",
        .help = "So many at once, of all zones; the others wait. One zone has one at a time.",
    },
    {
        .key = "timeout",
        .kind = CONF_DURATION_MS,
        .slot = CONF_ONE(struct config_secondary, timeout_ms),
        .preset = "10s",
        .min = "100ms",
        .max = "10m",
        .help = "A primary that lets nothing be heard for so long is given up, and the next one "
                "asked.",
    },
    {
        .key = "max-time",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_secondary, max_time_s),
        .preset = "1h",
        .min = "1s",
        .max = "7d",
        .help = "No conversation with a primary takes longer, however slowly it sends.",
    },
    {
        .key = "max-size",
        .kind = CONF_BYTES,
        .slot = CONF_ONE(struct config_secondary, max_bytes),
        .preset = "1GiB",
        .min = "64KiB",
        .max = "16GiB",
        .help = "Of one transfer, as its messages are.",
    },
    {
        .key = "max-records",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_secondary, max_records),
        .preset = "20000000",
        .min = "2",
        .max = "200000000",
        .unit = "records",
        .help = "Of one transfer.",
    },
    {
        .key = "min-wait",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_secondary, min_wait_s),
        .preset = "30s",
        .min = "1s",
        .max = "1d",
        .help = "The REFRESH and RETRY of a zone's SOA are taken as at least so long; EXPIRE as at "
                "least the two together.",
    },
    {
        .key = "max-wait",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_secondary, max_wait_s),
        .preset = "7d",
        .min = "1m",
        .max = "28d",
        .help = "And as at most so long.",
    },
};
const struct conf_struct config_secondary_schema = {
    .what = "secondary",
    .size = sizeof(struct config_secondary),
    CONF_FIELDS(SECONDARY_FIELDS),
    .shorthand = "directory",
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replica: copies of zones that others are primaries of, as text, in memory and on disk.
 *
 *   records of a transfer ─▶ builder ─────────▶ replica ─▶ zone_load (text)
 *   differences of one ───▶ replica_amend ─▶     │  ▲
 *                                       replica_write, replica_read: one file per zone
 *
 * A replica is the zone as its primary sent it, one record on a line, the SOA first, so that
 * operators can read it and that differences are lines which go and lines which come. The file has
 * three lines of comment before that: what it is, when a primary last said that it is current and
 * until when it may be served for that (RFC 1035 section 3.3.13), and a digest of what follows. The
 * second is overwritten in place; all else is written to a neighbour and renamed over the old file,
 * with what it takes for a crash to leave one or the other.
 *
 * Lifetime: a replica is immutable and counted; any thread. A builder belongs to one thread. Files
 * are written by one thread; reading them changes nothing.
 */
#ifndef GSLB_DNS_REPLICA_H
#define GSLB_DNS_REPLICA_H

#include "common/base/base.h"
#include "common/text/text.h"
#include "gslb-dns/zone/zone.h"

/* Of an SOA record (RFC 1035 section 3.3.13). */
struct replica_soa {
    uint32_t serial, refresh_s, retry_s, expire_s;
};
/* From its uncompressed RDATA; false: a number is beyond 2^31, where only the serial may be. */
MUST_USE bool replica_read_soa(const uint8_t *rdata, size_t n, struct replica_soa *out);

struct replica {
    _Atomic unsigned refs;
    struct replica_soa soa;
    size_t n_records; /* the SOA is one */
    char *text;       /* the lines; ends with a zero beyond n */
    size_t n;
};
struct replica *replica_hold(struct replica *r);
void replica_release(struct replica *r); /* NULL: nothing */

/* ---- made of what a primary sends ---- */

/* Lines that go into a replica, or, beginning with '-' or '+', that change one. Zero-initialise. */
struct replica_lines {
    struct text text;
    size_t n;
};
void replica_lines_free(struct replica_lines *l);
void replica_add(struct replica_lines *l, const struct zone_wire_record *record);
void replica_add_change(struct replica_lines *l, bool is_added,
                        const struct zone_wire_record *record);
/* Takes the lines over, and leaves them empty. soa: the zone's, which is not among them. */
struct replica *replica_of_lines(struct replica_lines *l, const struct zone_wire_record *soa);
/* base with changes in their order, and this SOA. NULL: a record that is to go is not there, or one
 * that is to come is there already; *why then says which, and is the caller's to free. */
struct replica *replica_amend(const struct replica *base, const struct replica_lines *changes,
                              const struct zone_wire_record *soa, char **why);

/* ---- on disk ---- */

enum replica_state {
    REPLICA_NONE,    /* there is no file */
    REPLICA_FRESH,   /* it may be served */
    REPLICA_EXPIRED, /* nobody has confirmed it for longer than the SOA's EXPIRE */
    REPLICA_DAMAGED, /* it cannot be read, or is not what was written */
};

struct replica_stored {
    enum replica_state state;
    struct replica *replica;        /* the caller's to release; NULL: none, or damaged */
    int64_t confirmed_s, expires_s; /* wall clock */
    char *why;                      /* with REPLICA_DAMAGED; the caller's to free */
};

void replica_read(const char *path, const struct wire_name *apex, int64_t now_s,
                  struct replica_stored *out);
/* Whole, the directory too where it is missing. Failure: errno. */
MUST_USE struct outcome replica_write(const char *path, const struct replica *r,
                                      int64_t confirmed_s, int64_t expires_s);
/* Only the times. Failure: errno; the file that is there stays as it is. */
MUST_USE struct outcome replica_confirm(const char *path, int64_t confirmed_s, int64_t expires_s);
/* Renames a damaged file to PATH.damaged, for people. Failure: errno. */
MUST_USE struct outcome replica_set_aside(const char *path);

#endif

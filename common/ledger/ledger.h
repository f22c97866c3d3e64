/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger: the newest of numbered lines, kept in a file. Lines are appended and are on the disk when
 * the call returns; a line that a crash has torn is none. When there are twice as many as are kept,
 * the file is written anew with the newest. A ledger has an id, made up with it: who remembers the
 * id and a number knows later whether this is still the same one, and how far back it reaches.
 * Memory and file: at most twice the lines that are kept.
 * Threads: the owner's alone.
 */
#ifndef COMMON_LEDGER_H
#define COMMON_LEDGER_H

#include "common/base/base.h"
#include "common/text/text.h"

struct ledger;

enum { LEDGER_FILE_MAX = 64 << 20 };

/* Reads the file, or begins one; path NULL: in memory alone. A file that is no ledger is put aside
 * as PATH.bad and logged under room; one that cannot be written fails each append. */
struct ledger *ledger_open(const char *path, size_t n_kept, const char *room);
void ledger_close(struct ledger *l);

uint64_t ledger_id(const struct ledger *l); /* never 0 */
bool ledger_is_in_file(const struct ledger *l);
/* Lines are numbered from 1 on; the first that is still there, and the last there ever was. With
 * none, first is last + 1. */
uint64_t ledger_first(const struct ledger *l);
uint64_t ledger_last(const struct ledger *l);
/* first to last; valid until the next append. */
const char *ledger_line(const struct ledger *l, uint64_t number);

/* Lines without newline, all of them or none: fails with errno set. */
MUST_USE struct outcome ledger_append(struct ledger *l, const char *const *lines, size_t n);

#endif

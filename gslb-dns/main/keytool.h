/* SPDX-License-Identifier: BSD-2-Clause */
/* keytool: what an operator does with keys before a zone is signed: gslb-dns keygen and ds. Private
 * to main. */
#ifndef GSLB_DNS_KEYTOOL_H
#define GSLB_DNS_KEYTOOL_H

#include <stdbool.h>

#define KEYTOOL_USAGE                                                                         \
    "       gslb-dns keygen [-d DIR] [-a ALGORITHM] [--csk | --ksk | --zsk | --split] ZONE\n" \
    "       gslb-dns ds [-d DIR] ZONE\n"

bool keytool_is_command(const char *word);
/* argv[0] is the command. The exit code: 0 done, 1 cannot be done, 2 usage. */
int keytool_main(int argc, char **argv);

#endif

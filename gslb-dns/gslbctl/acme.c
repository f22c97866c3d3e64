/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

#include <stdlib.h>
#include <string.h>

bool lifetime_read(const char *text, uint32_t *out)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    uint64_t n = strtoul(text, &end, 10);

    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (end != text && strcmp(end, units[i].unit) == 0 && n > 0 && n <= 86400) {
            *out = (uint32_t)(n * units[i].seconds);
            return true;
        }
    return false;
}

bool acme_read(char **args, int n_args, const char *lifetime, Gslb__AcmeRequest *out)
{
    static const struct {
        const char *name;
        Gslb__AcmeAction action;
        int least, most;
    } actions[] = {{"add", GSLB__ACME_ACTION__ACME_ADD, 3, 3},
                   {"remove", GSLB__ACME_ACTION__ACME_REMOVE, 2, 3},
                   {"list", GSLB__ACME_ACTION__ACME_LIST, 1, 1}};

    for (size_t i = 0; i < COUNT_OF(actions) && n_args > 0; i++) {
        if (strcmp(args[0], actions[i].name) != 0 || n_args < actions[i].least ||
            n_args > actions[i].most)
            continue;
        out->action = actions[i].action;
        if (n_args > 1)
            out->name = args[1];
        if (n_args > 2)
            out->value = args[2];
        return lifetime == NULL || lifetime_read(lifetime, &out->lifetime_s);
    }
    return false;
}

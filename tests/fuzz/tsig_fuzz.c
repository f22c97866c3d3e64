/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a signed query to a server that knows a key, and as an answer to a client. The first
 * byte says which; what was accepted must not be. */
#include "common/bytes/bytes.h"
#include "gslb-dns/tsig/tsig.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tsig_key *get_key(void)
{
    static struct tsig_key *key;
    struct wire_name name;

    if (key == NULL) {
        ensure(wire_name_parse(str_of("k"), &name));
        key = tsig_key_new(&name, "hmac-sha256", (const uint8_t *)"secret", 6);
    }
    return key;
}

static void serve(const uint8_t *data, size_t size)
{
    const struct tsig_key *key = get_key();
    struct tsig_session s;
    struct tsig_record r;
    uint8_t *answer;

    if (size < WIRE_HEADER || !tsig_find(data, size, &r) || r.at == 0)
        return;
    ensure(tsig_accept(&s, &key, 1, data, &r, 1000) != TSIG_OK); /* it cannot know the secret */
    answer = base_zalloc(1, WIRE_HEADER + TSIG_ROOM);
    ensure(tsig_sign(&s, answer, WIRE_HEADER, 1000) <= WIRE_HEADER + TSIG_ROOM);
    free(answer);
    tsig_end(&s);
}

static void ask(const uint8_t *data, size_t size)
{
    uint8_t query[WIRE_HEADER + TSIG_ROOM] = {0};
    struct tsig_session s;
    size_t proper;

    tsig_ask(&s, get_key(), query, WIRE_HEADER, 1000);
    ensure(tsig_check(&s, data, size, 1000, &proper) != TSIG_OK && proper <= size);
    tsig_end(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        serve(data + 1, size - 1);
    else
        ask(data + 1, size - 1);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Queries by UDP that a load balancer passes on, with a PROXY header before each. The answer goes
 * back to the balancer without one; all else that depends on the client is about whom the header
 * names. Connections carry theirs once, for stream to read. */
#include "gslb-dns/answer/answer_internal.h"

#include "common/proxy/proxy.h"

static bool is_listed(const struct world *w, const struct addr *sender)
{
    struct ip ip = addr_ip(sender);

    for (size_t i = 0; i < w->n_proxies; i++) {
        if (prefix_has(&w->proxies[i], &ip))
            return true;
    }
    return false;
}

bool proxied_take_header(const struct world *w, struct answer_query *io, struct addr *client)
{
    struct proxy_header header;

    if (!is_listed(w, io->source))
        return !proxy_has_signature(io->packet, io->packet_bytes);
    if (proxy_parse(io->packet, io->packet_bytes, PROXY_V2, &header) != PROXY_OK)
        return false;
    io->packet += header.bytes;
    io->packet_bytes -= (uint32_t)header.bytes;
    if (header.has_claim) {
        *client = header.source;
        io->source = client;
    }
    return true;
}

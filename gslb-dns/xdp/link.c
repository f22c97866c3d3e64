/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel tells of interfaces, by the ioctls that have always been there. */
#include "gslb-dns/xdp/xdp_internal.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct ifreq request_for(const char *name)
{
    struct ifreq r = {0};

    memcpy(r.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    return r;
}

static int read_mac(int fd, const char *name, uint8_t mac[6])
{
    struct ifreq r = request_for(name);

    if (ioctl(fd, SIOCGIFHWADDR, &r) != 0)
        return -errno;
    memcpy(mac, r.ifr_hwaddr.sa_data, 6);
    return 0;
}

/* Drivers that do not tell have one queue. */
static unsigned read_queues(int fd, const char *name)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq r = request_for(name);
    unsigned n = 0;

    r.ifr_data = (void *)&channels;
    if (ioctl(fd, SIOCETHTOOL, &r) == 0)
        n = channels.combined_count + channels.rx_count;
    return n > 0 ? n : 1;
}

static bool read_strips_vlan(int fd, const char *name)
{
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
    struct ifreq r = request_for(name);

    r.ifr_data = (void *)&flags;
    return ioctl(fd, SIOCETHTOOL, &r) == 0 && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

static bool is_vlan_of(int fd, const char *vlan, const char *parent, uint16_t *id)
{
    struct vlan_ioctl_args args = {.cmd = GET_VLAN_REALDEV_NAME_CMD};

    memcpy(args.device1, vlan, strnlen(vlan, sizeof(args.device1) - 1));
    if (ioctl(fd, SIOCGIFVLAN, &args) != 0 || strcmp(args.u.device2, parent) != 0)
        return false;
    args.cmd = GET_VLAN_VID_CMD;
    if (ioctl(fd, SIOCGIFVLAN, &args) != 0)
        return false;
    *id = (uint16_t)args.u.VID;
    return true;
}

static void read_vlans(int fd, const char *name, struct link *out)
{
    struct if_nameindex *all = if_nameindex();
    size_t cap = out->n_vlans;

    for (const struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++) {
        struct link_vlan vlan = {0};

        if (!is_vlan_of(fd, i->if_name, name, &vlan.id) || read_mac(fd, i->if_name, vlan.mac) != 0)
            continue;
        BASE_GROW(out->vlans, out->n_vlans, cap);
        out->vlans[out->n_vlans++] = vlan;
    }
    if (all != NULL)
        if_freenameindex(all);
}

int link_read(const char *name, struct link *out)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;
    struct ifreq r = request_for(name);

    *out = (struct link){.index = if_nametoindex(name)};
    if (fd < 0 || out->index == 0) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    out->vlans = base_zalloc(1, sizeof(*out->vlans));
    out->n_vlans = 1;
    error = read_mac(fd, name, out->vlans[0].mac);
    if (error == 0 && ioctl(fd, SIOCGIFMTU, &r) != 0)
        error = -errno;
    out->mtu = (uint32_t)r.ifr_mtu;
    out->n_queues = read_queues(fd, name);
    out->strips_vlan = read_strips_vlan(fd, name);
    read_vlans(fd, name, out);
    close(fd);
    if (error != 0)
        link_free(out);
    return error;
}

void link_free(struct link *l)
{
    free(l->vlans);
    *l = (struct link){0};
}

struct ip *link_host_addresses(size_t *n)
{
    struct ifaddrs *all = NULL;
    struct ip *ips = NULL;
    size_t cap = 0;

    *n = 0;
    if (getifaddrs(&all) != 0)
        return NULL;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        int family = i->ifa_addr != NULL ? i->ifa_addr->sa_family : AF_UNSPEC;
        struct addr a = {0};

        if (family != AF_INET && family != AF_INET6)
            continue;
        a.length = family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
        memcpy(&a.storage, i->ifa_addr, a.length);
        BASE_GROW(ips, *n, cap);
        ips[(*n)++] = addr_ip(&a);
    }
    freeifaddrs(all);
    return ips;
}

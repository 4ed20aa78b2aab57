//! inet_names: interfaces and addresses by getifaddrs, ioctl and netlink agree; names resolve.
//! build: pie, musl-dynamic
#include "inet.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
// musl has no headers of the kernel; its getifaddrs uses netlink all the same.
#if __has_include(<linux/rtnetlink.h>)
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#define HAS_NETLINK 1
#endif

static int has_ipv4(const char *name, struct in_addr address) {
    struct ifaddrs *all = 0;
    int found = 0;
    CHECK_EQ(getifaddrs(&all), 0);
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !strcmp(i->ifa_name, name))
            found |= ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == address.s_addr;
    freeifaddrs(all);
    return found;
}

static void the_loopback_is_there(void) {
    struct ifaddrs *all = 0;
    int four = 0, six = 0, up = 0;
    CHECK_EQ(getifaddrs(&all), 0);
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, "lo")) continue;
        up |= (i->ifa_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK);
        if (!i->ifa_addr) continue;
        if (i->ifa_addr->sa_family == AF_INET) {
            struct sockaddr_in *a = (struct sockaddr_in *)i->ifa_addr, *m = (struct sockaddr_in *)i->ifa_netmask;
            if (a->sin_addr.s_addr == htonl(INADDR_LOOPBACK)) four = m && m->sin_addr.s_addr == htonl(0xff000000);
        }
        if (i->ifa_addr->sa_family == AF_INET6) six |= IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr);
    }
    freeifaddrs(all);
    CHECK(up && four && six);
    CHECK_EQ(if_nametoindex("lo"), 1);
    char name[IF_NAMESIZE] = "";
    CHECK(if_indextoname(1, name) && !strcmp(name, "lo"));
    CHECK_EQ(if_nametoindex("nothing0"), 0);
    CHECK_EQ(errno, ENODEV);
    CHECK(!if_indextoname(77777, name) && errno == ENXIO);
    struct if_nameindex *names = if_nameindex();
    int seen = 0;
    for (struct if_nameindex *i = names; i && i->if_index; i++) {
        seen |= !strcmp(i->if_name, "lo");
        CHECK_EQ(if_nametoindex(i->if_name), i->if_index);
    }
    CHECK(seen);
    if_freenameindex(names);
}

static void requests_agree(int family) {
    int s = socket(family, SOCK_DGRAM, 0);
    struct ifreq list[32], one;
    struct ifconf conf = {.ifc_len = 0, .ifc_req = 0};
    CHECK_EQ(ioctl(s, SIOCGIFCONF, &conf), 0);
    int wanted = conf.ifc_len;
    CHECK(wanted >= (int)sizeof one && wanted % (int)sizeof one == 0);
    conf = (struct ifconf){.ifc_len = sizeof list, .ifc_req = list};
    CHECK_EQ(ioctl(s, SIOCGIFCONF, &conf), 0);
    CHECK_EQ(conf.ifc_len, wanted < (int)sizeof list ? wanted : (int)sizeof list);
    for (int i = 0; i < conf.ifc_len / (int)sizeof one; i++) {
        struct sockaddr_in *address = (struct sockaddr_in *)&list[i].ifr_addr;
        CHECK(has_ipv4(list[i].ifr_name, address->sin_addr));
    }
    // Only as many as there is room for.
    conf = (struct ifconf){.ifc_len = sizeof one + 7, .ifc_req = list};
    CHECK_EQ(ioctl(s, SIOCGIFCONF, &conf), 0);
    CHECK_EQ(conf.ifc_len, sizeof one);
    conf.ifc_len = -1;
    CHECK_FAILS(ioctl(s, SIOCGIFCONF, (void *)8), EFAULT);
    memset(&one, 0, sizeof one);
    strcpy(one.ifr_name, "lo");
    CHECK_EQ(ioctl(s, SIOCGIFFLAGS, &one), 0);
    CHECK((one.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING)) == (IFF_UP | IFF_LOOPBACK | IFF_RUNNING));
    CHECK_EQ(ioctl(s, SIOCGIFINDEX, &one), 0);
    CHECK_EQ(one.ifr_ifindex, 1);
    CHECK_EQ(ioctl(s, SIOCGIFMTU, &one), 0);
    CHECK(one.ifr_mtu >= 1280);
    CHECK_EQ(ioctl(s, SIOCGIFHWADDR, &one), 0);
    CHECK_EQ(one.ifr_hwaddr.sa_family, 772);
    memset(&one, 0, sizeof one);
    one.ifr_ifindex = 1;
    CHECK_EQ(ioctl(s, SIOCGIFNAME, &one), 0);
    CHECK(!strcmp(one.ifr_name, "lo"));
    strcpy(one.ifr_name, "nothing0");
    CHECK_FAILS(ioctl(s, SIOCGIFFLAGS, &one), ENODEV);
    CHECK_FAILS(ioctl(s, SIOCGIFMTU, (void *)8), EFAULT);
    if (family == AF_INET) {
        memset(&one, 0, sizeof one);
        strcpy(one.ifr_name, "lo");
        CHECK_EQ(ioctl(s, SIOCGIFADDR, &one), 0);
        CHECK_EQ(((struct sockaddr_in *)&one.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        CHECK_EQ(ioctl(s, SIOCGIFNETMASK, &one), 0);
        CHECK_EQ(((struct sockaddr_in *)&one.ifr_addr)->sin_addr.s_addr, htonl(0xff000000));
        CHECK_EQ(ioctl(s, SIOCGIFBRDADDR, &one), 0);
        CHECK_EQ(one.ifr_addr.sa_family, AF_INET);
    }
    close(s);
}

#ifdef HAS_NETLINK
static int ask(int s, uint16_t type, uint16_t flags, uint8_t family, int index) {
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
    } request = {{sizeof request, type, flags | NLM_F_REQUEST, 7, 0}, {.ifi_family = family, .ifi_index = index}};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return (int)sendto(s, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel);
}

static void netlink_answers(void) {
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), other = socket(AF_NETLINK, SOCK_DGRAM, 0);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK}, from;
    socklen_t len = sizeof own;
    static char got[32768];
    CHECK_FAILS(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
    CHECK_FAILS(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT);
    CHECK_EQ(option_of(s, SOL_SOCKET, SO_TYPE), SOCK_RAW);
    CHECK_EQ(option_of(s, SOL_SOCKET, SO_DOMAIN), AF_NETLINK);
    CHECK_FAILS(bind(s, (struct sockaddr *)&own, 11), EINVAL);
    CHECK_EQ(bind(s, (struct sockaddr *)&own, sizeof own), 0);
    CHECK_EQ(getsockname(s, (struct sockaddr *)&own, &len), 0);
    CHECK(len == sizeof own && own.nl_family == AF_NETLINK && own.nl_pid != 0 && own.nl_groups == 0);
    CHECK_FAILS(bind(other, (struct sockaddr *)&own, sizeof own), EADDRINUSE);
    CHECK_FAILS(recv(s, got, sizeof got, MSG_DONTWAIT), EAGAIN);
    struct pollfd p = {s, POLLIN | POLLOUT, 0};
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT);

    for (int round = 0; round < 3; round++) {
        static const uint16_t types[3] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE};
        int done = 0, count = 0, lo = 0;
        CHECK_EQ(ask(s, types[round], NLM_F_DUMP, AF_UNSPEC, 0), 32);
        CHECK(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT));
        while (!done) {
            struct iovec v = {got, sizeof got};
            struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1};
            ssize_t n = recvmsg(s, &m, 0);
            if (n <= 0 || m.msg_flags || from.nl_pid) break;
            unsigned left = (unsigned)n;
            for (struct nlmsghdr *h = (struct nlmsghdr *)got; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
                CHECK(h->nlmsg_seq == 7 && h->nlmsg_pid == own.nl_pid && h->nlmsg_flags & NLM_F_MULTI);
                done |= h->nlmsg_type == NLMSG_DONE;
                count += h->nlmsg_type == types[round] - 2;
                if (h->nlmsg_type != RTM_NEWLINK) continue;
                struct ifinfomsg *link = NLMSG_DATA(h);
                unsigned bytes = IFLA_PAYLOAD(h);
                for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, bytes); a = RTA_NEXT(a, bytes))
                    if (a->rta_type == IFLA_IFNAME) lo |= link->ifi_index == 1 && !strcmp(RTA_DATA(a), "lo");
            }
        }
        CHECK_EQ(done, 1);
        CHECK(count > 0);
        CHECK_EQ(lo, round == 0);
    }

    // One link by its index, and one that is not there.
    struct nlmsghdr *h = (struct nlmsghdr *)got;
    CHECK_EQ(ask(s, RTM_GETLINK, 0, AF_UNSPEC, 1), 32);
    ssize_t whole = recv(s, got, 16, MSG_PEEK | MSG_TRUNC);
    CHECK(whole > 16);
    CHECK_EQ(recv(s, got, sizeof got, 0), whole);
    CHECK(h->nlmsg_type == RTM_NEWLINK && !(h->nlmsg_flags & NLM_F_MULTI));
    CHECK_EQ(ask(s, RTM_GETLINK, 0, AF_UNSPEC, 77777), 32);
    CHECK(recv(s, got, sizeof got, 0) >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)));
    CHECK(h->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *)NLMSG_DATA(h))->error == -ENODEV);
    // An acknowledgement, where one is asked for.
    CHECK_EQ(ask(s, NLMSG_NOOP, NLM_F_ACK, AF_UNSPEC, 0), 32);
    CHECK_EQ(recv(s, got, sizeof got, 0), NLMSG_LENGTH(sizeof(struct nlmsgerr)));
    CHECK(h->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *)NLMSG_DATA(h))->error == 0);
    CHECK_EQ(ask(s, 5000, 0, AF_UNSPEC, 0), 32);
    CHECK(recv(s, got, sizeof got, 0) > 0);
    CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EOPNOTSUPP);
    CHECK_FAILS(listen(s, 1), EOPNOTSUPP);
    CHECK_FAILS(accept(s, 0, 0), EOPNOTSUPP);
    CHECK_FAILS(shutdown(s, SHUT_RD), EOPNOTSUPP);
    CHECK_FAILS(send(s, got, 4, MSG_OOB), EOPNOTSUPP);
    close(s);
    close(other);
}

#endif

static int resolves(const char *name, int family, const char *wanted) {
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *all = 0;
    int found = 0, error = getaddrinfo(name, "80", &hints, &all);
    if (error) return 0;
    for (struct addrinfo *i = all; i; i = i->ai_next) {
        char text[64] = "";
        getnameinfo(i->ai_addr, i->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
        found |= !strcmp(text, wanted);
    }
    freeaddrinfo(all);
    return found;
}

static void tables_list_own_sockets(void) {
    // The host may have many.
    static char text[16 << 20];
    char wanted[128];
    int s[2], u = bound(AF_INET, SOCK_DGRAM), six = listener(AF_INET6, 0);
    tcp_pair(s, AF_INET);
    CHECK(get_file("/proc/net/tcp", text, sizeof text) > 0);
    sprintf(wanted, ": 0100007F:%04X 0100007F:%04X 01 ", port_of(s[0]), port_of(s[1]));
    CHECK(strstr(text, wanted));
    sprintf(wanted, ": 0100007F:%04X 0100007F:%04X 01 ", port_of(s[1]), port_of(s[0]));
    CHECK(strstr(text, wanted));
    CHECK(strchr(text, 10) - text == 149);
    CHECK(get_file("/proc/net/udp", text, sizeof text) > 0);
    sprintf(wanted, ": 0100007F:%04X 00000000:0000 07 ", port_of(u));
    CHECK(strstr(text, wanted));
    CHECK(get_file("/proc/net/tcp6", text, sizeof text) > 0);
    sprintf(wanted, ": 00000000000000000000000001000000:%04X 00000000000000000000000000000000:0000 0A ", port_of(six));
    CHECK(strstr(text, wanted));
    CHECK(get_file("/proc/net/dev", text, sizeof text) > 0 && strstr(text, "    lo: "));
    CHECK(get_file("/proc/net/if_inet6", text, sizeof text) > 0);
    CHECK(strstr(text, "00000000000000000000000000000001 01 80 10 80       lo\n"));
    CHECK(get_file("/proc/net/route", text, sizeof text) > 0 && !strncmp(text, "Iface\tDestination", 17));
    close(s[0]);
    close(s[1]);
    close(u);
    close(six);
}

int main(void) {
    the_loopback_is_there();
    requests_agree(AF_INET);
    requests_agree(AF_INET6);
#ifdef HAS_NETLINK
    netlink_answers();
#endif
    tables_list_own_sockets();
    CHECK(resolves("localhost", AF_INET, "127.0.0.1"));
    CHECK(resolves("127.0.0.1", AF_UNSPEC, "127.0.0.1"));
    CHECK(resolves("::1", AF_UNSPEC, "::1"));
    return done("inet_names");
}

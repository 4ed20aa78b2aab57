//! refused: what no program of a container may do fails with an errno, and so do sockets that
//! are not the program's to have; the program goes on.
//! build: static, musl-static
//! native: no
#include "check.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(void) {
    CHECK_FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    CHECK_FAILS(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), EPERM);
    CHECK_FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EACCES);
    CHECK_FAILS(socket(AF_INET, SOCK_STREAM, 262), EPROTONOSUPPORT); // MPTCP
    CHECK_FAILS(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
    CHECK_FAILS(socket(AF_INET, SOCK_PACKET, 0), EPERM);
    CHECK_FAILS(socket(AF_NETLINK, SOCK_RAW, 9), EPROTONOSUPPORT); // NETLINK_AUDIT
    CHECK_FAILS(socket(AF_VSOCK, SOCK_STREAM, 0), EAFNOSUPPORT);
    // Groups of machines are not reached.
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xe0000001)};
    CHECK_FAILS(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), ENOPROTOOPT);
    struct group_req any_family = {.gr_interface = 1};
    memcpy(&any_family.gr_group, &(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = group.imr_multiaddr}, sizeof(struct sockaddr_in));
    CHECK_FAILS(setsockopt(s, IPPROTO_IP, MCAST_JOIN_GROUP, &any_family, sizeof any_family), ENOPROTOOPT);
    int six = socket(AF_INET6, SOCK_DGRAM, 0);
    struct ipv6_mreq of_six = {.ipv6mr_multiaddr.s6_addr = {0xff, 2, [15] = 1}};
    CHECK_FAILS(setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &of_six, sizeof of_six), ENOPROTOOPT);
    close(six);
    CHECK_FAILS(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), EPERM);
    char device[16];
    socklen_t length = sizeof device;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, &length), 0);
    CHECK_EQ(length, 0);
    int mark = 7;
    length = sizeof mark;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_MARK, &mark, &length), 0);
    CHECK_EQ(mark, 0);
    // What it is already: whoever runs this as a process by mistake keeps the interface.
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    CHECK_FAILS(ioctl(s, SIOCSIFFLAGS, &request), EPERM);
    close(s);
    CHECK(execl("/absent", "absent", NULL) == -1);
    CHECK(syscall(SYS_init_module, NULL, 0, NULL) == -1);
    CHECK(syscall(SYS_ptrace, 0, 0, 0, 0) == -1);
    // After all of that the program is as healthy as before.
    char *p = malloc(1 << 20);
    memset(p, 1, 1 << 20);
    free(p);
    return done("refused");
}

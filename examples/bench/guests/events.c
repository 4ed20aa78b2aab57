//! What events and mappings cost: `events COUNT`.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

enum { EVENTS = 1000 };

static int poller, sources[EVENTS];
static struct epoll_event ready[EVENTS];

static void raise_event(int index)
{
    const uint64_t one = 1;
    require(write(sources[index], &one, sizeof one) == sizeof one, "write to an eventfd");
}

static void take(int expected)
{
    uint64_t value;
    const int got = epoll_wait(poller, ready, EVENTS, -1);
    require(got == expected, "epoll_wait");
    for (int i = 0; i < got; i++)
        require(read(sources[ready[i].data.u32], &value, sizeof value) == sizeof value, "read of an eventfd");
}

static void epoll(long count)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    uint64_t start = now_ns();
    for (int i = 0; i < EVENTS; i++) {
        sources[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        require(sources[i] >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, sources[i], &event) == 0, "epoll_ctl");
    }
    report("epoll_add", start, EVENTS);

    start = now_ns();
    for (long i = 0; i < count; i++) {
        raise_event((int)(i * 7919 % EVENTS));
        take(1);
    }
    report("epoll_one_of_1000", start, (uint64_t)count);

    const long rounds = count / EVENTS + 1;
    start = now_ns();
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < EVENTS; i++)
            raise_event(i);
        take(EVENTS);
    }
    report("epoll_all_of_1000", start, (uint64_t)rounds * EVENTS);
    for (int i = 0; i < EVENTS; i++)
        close(sources[i]);
    close(poller);
}

static void map_and_unmap(const char *name, long count, size_t touched)
{
    const size_t bytes = 64 << 10;
    const uint64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        char *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(place != MAP_FAILED, "mmap");
        for (size_t offset = 0; offset < touched; offset += 4096)
            ((volatile char *)place)[offset] = 1;
        munmap(place, bytes);
    }
    report(name, start, (uint64_t)count);
}

int main(int argc, char **argv)
{
    require(argc == 2, "usage: events COUNT");
    const long count = atol(argv[1]);
    epoll(count);
    map_and_unmap("mmap_munmap", count, 0);
    map_and_unmap("mmap_touch_munmap", count, 4096);
    return 0;
}

//! What files of the root file system cost: `files DIRECTORY COUNT BIG_FILE`.
//! DIRECTORY holds COUNT small files called f0, f1, ….

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

static char buffer[1 << 16];

static uint64_t read_file(const char *path)
{
    uint64_t total = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    require(fd >= 0, path);
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) != 0; total += (uint64_t)got)
        require(got > 0, path);
    close(fd);
    return total;
}

static void small_files(const char *directory, int count, const char *name)
{
    char path[4096];
    struct stat status;
    const uint64_t start = now_ns();
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/f%d", directory, i);
        require(stat(path, &status) == 0, path);
        require(read_file(path) == (uint64_t)status.st_size, "short read");
    }
    report(name, start, count);
}

static void mapped(const char *path, uint64_t bytes)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    require(fd >= 0, path);
    const uint64_t start = now_ns();
    const volatile char *place = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    require(place != MAP_FAILED, "mmap");
    for (uint64_t offset = 0; offset < bytes; offset += 4096)
        (void)place[offset];
    report("mmap_touch_per_4k", start, bytes / 4096);
    close(fd);
}

int main(int argc, char **argv)
{
    require(argc == 4, "usage: files DIRECTORY COUNT BIG_FILE");
    const int count = atoi(argv[2]);
    small_files(argv[1], count, "stat_open_read_first");
    small_files(argv[1], count, "stat_open_read_again");

    const uint64_t start = now_ns();
    const uint64_t bytes = read_file(argv[3]);
    report("read_per_mib", start, bytes >> 20);
    mapped(argv[3], bytes);
    return 0;
}

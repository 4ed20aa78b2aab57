//! Ends by a signal with bytes in a shared mapping that nobody wrote back.
//! build: static
//! native: no
#include "../check.h"

int main(int argc, char **argv) {
    if (argc < 3 || chdir(argv[1])) return 1;
    int fd = open("mapped", O_RDWR | O_CREAT, 0600);
    if (ftruncate(fd, 4096)) return 1;
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy(at, "kept", 4);
    raise(atoi(argv[2]));
    return 1;
}

//! oom: touching more memory than the limit ends the program as the kernel's OOM killer would.
//! build: static, musl-static
//! options: --memory 64M
//! native: no
//! exit: 137
//! record: out of memory (limit 64.0 MiB)|is in anonymous memory|OOMKilled
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
    puts("filling memory");
    fflush(stdout);
    // Reserved, so that nothing is refused before it is touched.
    char *p = mmap(0, 256 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return 3;
    memset(p, 1, 256 << 20);
    puts("wrong: 256 MiB fitted into 64 MiB");
    return 1;
}

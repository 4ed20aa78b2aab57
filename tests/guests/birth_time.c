//! birth_time: statx tells when a file was made, and that of files of the image it is not known.
//! build: static
//! native: no
#include "check.h"
#include <time.h>

int main(int argc, char **argv) {
    (void)argc;
    scratch();
    struct statx old, now;
    put_file("f", "x");
    CHECK_EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &old), 0);
    CHECK(old.stx_mask & STATX_BTIME);
    CHECK(old.stx_btime.tv_sec >= time(NULL) - 60 && old.stx_btime.tv_sec <= time(NULL) + 1);
    usleep(20000);
    put_file("f", "y");
    CHECK_EQ(rename("f", "g"), 0);
    CHECK_EQ(statx(AT_FDCWD, "g", 0, STATX_BTIME, &now), 0);
    CHECK(now.stx_btime.tv_sec == old.stx_btime.tv_sec && now.stx_btime.tv_nsec == old.stx_btime.tv_nsec);
    CHECK(now.stx_mtime.tv_sec > old.stx_mtime.tv_sec || now.stx_mtime.tv_nsec > old.stx_mtime.tv_nsec);
    CHECK_EQ(statx(AT_FDCWD, argv[0], 0, STATX_BTIME, &now), 0);
    CHECK((now.stx_mask & STATX_BTIME) == 0 && now.stx_btime.tv_sec == 0);
    return done("birth_time");
}

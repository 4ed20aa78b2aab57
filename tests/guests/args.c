//! args: arguments and environment arrive unchanged, empty ones and spaces too.
//! build: static, pie, musl-static
//! args: one|two words||--four=4|-e
//! env: GUEST_COLOUR=dark blue|GUEST_EMPTY=|GUEST_EQUALS=a=b=c
#include "check.h"

extern char **environ;

static const char *const WANT[] = {"one", "two words", "", "--four=4", "-e"};

int main(int argc, char **argv) {
    CHECK_EQ(argc, 6);
    for (int i = 1; i < argc && i < 6; i++)
        if (strcmp(argv[i], WANT[i - 1])) WRONG("argument %d is '%s'", i, argv[i]);
    CHECK(argv[argc] == NULL);
    CHECK(argv[0][0] == '/');

    const char *colour = getenv("GUEST_COLOUR");
    CHECK(colour && !strcmp(colour, "dark blue"));
    CHECK(getenv("GUEST_EMPTY") && !*getenv("GUEST_EMPTY"));
    CHECK(getenv("GUEST_EQUALS") && !strcmp(getenv("GUEST_EQUALS"), "a=b=c"));
    CHECK(getenv("GUEST_ABSENT") == NULL);
    CHECK(getenv("PATH") && *getenv("PATH"));
    for (char **e = environ; *e; e++)
        if (!strchr(*e, '=')) WRONG("environment string without '=': %s", *e);
    CHECK(!setenv("GUEST_NEW", "1", 1) && !strcmp(getenv("GUEST_NEW"), "1"));
    return done("args");
}

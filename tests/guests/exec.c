//! exec: execve replaces the program, keeps descriptors, the directory and ignored
//! signals, and refuses what cannot run.
//! build: static, pie, musl-static
#include "check.h"

static int second(int argc, char **argv) {
    CHECK_EQ(argc, 4);
    CHECK(!strcmp(argv[2], "two words") && !strcmp(argv[3], ""));
    CHECK(getenv("ONLY") && !strcmp(getenv("ONLY"), "this") && !getenv("PATH"));
    char got[64];
    CHECK_EQ(read(20, got, 3), 3); // the descriptor came along, with its offset
    CHECK(!memcmp(got, "def", 3));
    CHECK_FAILS(read(21, got, 1), EBADF); // close-on-exec
    CHECK(getcwd(got, sizeof got) && !strncmp(got, "/tmp/guest.", 11));
    struct sigaction act;
    CHECK(sigaction(SIGUSR1, NULL, &act) == 0 && act.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGUSR2, NULL, &act) == 0 && act.sa_handler == SIG_DFL);
    sigset_t set;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGHUP) == 1);
    // By a script with an interpreter line, this very program.
    char *const script[] = {"script", "argument", NULL};
    execv("script", script);
    CHECK(0);
    return 1;
}

static int third(int argc, char **argv) {
    CHECK_EQ(argc, 4);
    CHECK(!strcmp(argv[1], "--third option"));
    CHECK(!strcmp(argv[2], "script") && !strcmp(argv[3], "argument"));
    return done("exec");
}

static void handler(int signal) { (void)signal; }

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "--second")) return second(argc, argv);
    if (argc > 1 && !strncmp(argv[1], "--third", 7)) return third(argc, argv);
    scratch();
    char *const words[] = {"exec", "--second", "two words", "", NULL};
    char *const env[] = {"ONLY=this", NULL};
    put_file("text", "no program\n");
    CHECK_FAILS(execve("absent", words, env), ENOENT);
    CHECK_FAILS(execve("text", words, env), EACCES);
    CHECK_EQ(chmod("text", 0755), 0);
    CHECK_FAILS(execve("text", words, env), ENOEXEC);
    CHECK_FAILS(execve("/tmp", words, env), EACCES);
    CHECK_FAILS(execve("text/below", words, env), ENOTDIR);
    put_file("script", "#! /absent/interpreter\n");
    CHECK_EQ(chmod("script", 0755), 0);
    CHECK_FAILS(execve("script", words, env), ENOENT);
    char *huge = malloc(3 << 20);
    memset(huge, 'x', (3 << 20) - 1);
    huge[(3 << 20) - 1] = 0;
    char *const too_much[] = {"exec", huge, NULL};
    CHECK_FAILS(execve(argv[0], too_much, env), E2BIG);
    if (wrong_count) return done("exec");

    put_file("data", "abcdef");
    char got[3], line[300];
    int fd = open("data", O_RDONLY);
    CHECK_EQ(read(fd, got, 3), 3);
    CHECK_EQ(dup2(fd, 20), 20);
    CHECK_EQ(dup3(fd, 21, O_CLOEXEC), 21);
    snprintf(line, sizeof line, "#!%s  --third option \n", argv[0]);
    put_file("script", line);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, handler);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    execve(argv[0], words, env);
    perror("execve of this program");
    return 1;
}

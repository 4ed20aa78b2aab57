//! Threads use one directory at once: nobody loses a byte or a name.
//! build: static
//! flags: -pthread
//! native: no
#include "../check.h"
#include <dirent.h>
#include <pthread.h>

enum { THREADS = 8, ROUNDS = 60 };

static void *work(void *arg) {
    int me = (int)(long)arg;
    char name[32], other[32], text[64], got[64];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "t%d-%d", me, i);
        snprintf(other, sizeof other, "m%d-%d", me, i);
        snprintf(text, sizeof text, "%s of round %d", name, i);
        put_file(name, text);
        CHECK_EQ(rename(name, other), 0);
        CHECK_EQ(get_file(other, got, sizeof got), (ssize_t)strlen(text));
        CHECK(!strcmp(got, text));
        int fd = open("log", O_WRONLY | O_APPEND);
        CHECK_EQ(write(fd, "line\n", 5), 5);
        close(fd);
        struct stat st;
        CHECK_EQ(stat(other, &st), 0);
        if (i % 10 == 0) {
            DIR *dir = opendir(".");
            int seen = 0;
            for (struct dirent *entry; (entry = readdir(dir));) seen += !strcmp(entry->d_name, other);
            CHECK_EQ(seen, 1);
            closedir(dir);
            char *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd = open(other, O_RDONLY), 0);
            CHECK(at != MAP_FAILED && !memcmp(at, text, strlen(text)));
            close(fd);
            munmap(at, 4096);
        }
        CHECK_EQ(unlink(other), 0);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (chdir(argc > 1 ? argv[1] : "/data")) return 1;
    put_file("log", "");
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    struct stat st;
    CHECK_EQ(stat("log", &st), 0);
    CHECK_EQ(st.st_size, 5 * THREADS * ROUNDS);
    return done("shared_volume");
}

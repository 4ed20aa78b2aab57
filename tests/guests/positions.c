//! positions: threads that share a position, or append to one file, neither repeat nor overwrite each other.
//! build: static
//! flags: -pthread
//! cpus: 1, 2
#include "check.h"
#include <dirent.h>
#include <pthread.h>

enum { THREADS = 4, RECORDS = 1500, NAMES = 300 };

/// Crosses pages.
struct record {
    int number;
    char text[1396];
};

static int shared, seen[THREADS * RECORDS];

static void together(void *(*body)(void *)) {
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static struct record make(int number) {
    struct record record = {.number = number};
    memset(record.text, 'a' + number % 26, sizeof record.text);
    return record;
}

static int is_whole(const struct record *record) {
    struct record want = make(record->number);
    return !memcmp(&want, record, sizeof want);
}

static void *write_records(void *argument) {
    for (int i = 0; i < RECORDS; i++) {
        struct record record = make((int)(long)argument * RECORDS + i);
        CHECK_EQ(write(shared, &record, sizeof record), sizeof record);
    }
    return NULL;
}

static void *append_records(void *argument) {
    int fd = open("appended", O_WRONLY | O_APPEND);
    for (int i = 0; i < RECORDS; i++) {
        struct record record = make((int)(long)argument * RECORDS + i);
        CHECK_EQ(write(fd, &record, sizeof record), sizeof record);
    }
    close(fd);
    return NULL;
}

static void *read_records(void *unused) {
    struct record record;
    (void)unused;
    while (read(shared, &record, sizeof record) == sizeof record) {
        CHECK(is_whole(&record));
        __atomic_add_fetch(&seen[record.number % (THREADS * RECORDS)], 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/// Every record is in the file once; the threads read them from one descriptor.
static void each_once(const char *path) {
    struct stat stat_of;
    CHECK(stat(path, &stat_of) == 0);
    CHECK_EQ(stat_of.st_size, sizeof(struct record) * THREADS * RECORDS);
    memset(seen, 0, sizeof seen);
    shared = open(path, O_RDONLY);
    together(read_records);
    int wrong = 0;
    for (int i = 0; i < THREADS * RECORDS; i++) wrong += seen[i] != 1;
    CHECK_EQ(wrong, 0);
    CHECK_EQ(lseek(shared, 0, SEEK_CUR), stat_of.st_size);
    close(shared);
}

static void *step(void *unused) {
    (void)unused;
    for (int i = 0; i < 5000; i++) CHECK(lseek(shared, 3, SEEK_CUR) >= 3);
    return NULL;
}

static void *list(void *unused) {
    char buffer[512];
    long bytes;
    (void)unused;
    while ((bytes = syscall(SYS_getdents64, shared, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < bytes;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            if (*entry->d_name != '.') __atomic_add_fetch(&seen[atoi(entry->d_name)], 1, __ATOMIC_SEQ_CST);
            at += entry->d_reclen;
        }
    CHECK_EQ(bytes, 0);
    return NULL;
}

static void directory(void) {
    CHECK_EQ(mkdir("many", 0755), 0);
    for (int i = 0; i < NAMES; i++) {
        char name[20];
        snprintf(name, sizeof name, "many/%d", i);
        put_file(name, "");
    }
    memset(seen, 0, sizeof seen);
    shared = open("many", O_RDONLY | O_DIRECTORY);
    together(list);
    int wrong = 0;
    for (int i = 0; i < NAMES; i++) wrong += seen[i] != 1;
    CHECK_EQ(wrong, 0);
    close(shared);
}

/// The pages that are copied to and from are first touched by the copy, and are the file's own.
static void own_mapping(void) {
    enum { BYTES = 64 << 10 };
    int fd = open("mapped", O_RDWR | O_CREAT, 0644);
    CHECK_EQ(ftruncate(fd, 2 * BYTES), 0);
    CHECK_EQ(pwrite(fd, "first", 5, 0), 5);
    char *map = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK_EQ(read(fd, map + BYTES, BYTES), BYTES);
    CHECK(!memcmp(map + BYTES, "first", 5));
    munmap(map, 2 * BYTES);
    map = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int end = open("mapped", O_WRONLY | O_APPEND);
    CHECK_EQ(write(end, map + BYTES, BYTES), BYTES);
    char tail[5];
    CHECK(pread(fd, tail, 5, 2 * BYTES) == 5 && !memcmp(tail, "first", 5));
    close(end);
    close(fd);
}

int main(void) {
    scratch();
    shared = open("written", O_WRONLY | O_CREAT, 0644);
    together(write_records);
    close(shared);
    each_once("written");
    put_file("appended", "");
    together(append_records);
    each_once("appended");
    // Writes of nothing do not go to the end.
    shared = open("appended", O_RDWR | O_APPEND);
    CHECK(write(shared, "", 0) == 0 && lseek(shared, 0, SEEK_CUR) == 0);
    together(step);
    CHECK_EQ(lseek(shared, 0, SEEK_CUR), THREADS * 5000 * 3);
    close(shared);
    directory();
    own_mapping();
    return done("positions");
}

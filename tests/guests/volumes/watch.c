//! Prints what inotify tells of a directory until a file called `stop` appears there,
//! and what `config/value` holds after each change of a name.
//! build: static
//! native: no
#include "../check.h"
#include <sys/inotify.h>

static const struct { uint32_t bit; const char *name; } NAMES[] = {
    {IN_CREATE, "create"}, {IN_DELETE, "delete"}, {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"},
    {IN_MOVED_FROM, "moved_from"}, {IN_MOVED_TO, "moved_to"}, {IN_CLOSE_WRITE, "close_write"},
    {IN_DELETE_SELF, "delete_self"}, {IN_IGNORED, "ignored"},
};

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : "/data";
    if (chdir(dir)) return 1;
    int fd = inotify_init1(0);
    uint32_t mask = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVE | IN_CLOSE_WRITE | IN_DELETE_SELF;
    if (inotify_add_watch(fd, ".", mask) < 0) {
        perror("inotify_add_watch");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    char buffer[4096] __attribute__((aligned(8)));
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got <= 0) return 1;
        for (char *at = buffer; at < buffer + got;) {
            struct inotify_event *event = (void *)at;
            at += sizeof *event + event->len;
            const char *what = "other";
            for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
                if (event->mask & NAMES[i].bit) what = NAMES[i].name;
            const char *name = event->len ? event->name : "";
            if (!strcmp(name, "stop")) return 0;
            char value[64] = "";
            if (event->mask & IN_MOVED_TO && get_file("value", value, sizeof value) >= 0)
                printf("%s(%s) value=%s\n", what, name, value);
            else printf("%s(%s)\n", what, name);
            fflush(stdout);
        }
    }
}

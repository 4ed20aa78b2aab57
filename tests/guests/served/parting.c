//! Takes one connection at port 7, reads how many bytes it is to write (32 bits), writes them in
//! pieces that get larger and smaller, and exits at once, without closing anything.
//! build: static
#include "../check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static char bytes[251 * 40];

int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t wanted = 0;
    if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 8)) return 2;
    printf("ready\n");
    fflush(stdout);
    int client = accept(s, 0, 0);
    if (recv(client, &wanted, sizeof wanted, MSG_WAITALL) != sizeof wanted) return 3;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i % 251);
    size_t done = 0;
    for (size_t i = 0; done < wanted; i++) {
        size_t len = 1 + i * i * 13 % 9000;
        if (len > wanted - done) len = wanted - done;
        if (write(client, bytes + done % 251, len) != (ssize_t)len) return 4;
        done += len;
    }
    _exit(0);
}

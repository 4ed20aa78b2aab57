//! stream PORT: serves one connection after another at 127.0.0.1. The first byte says what:
//! `s`: sends 256 MiB; `r`: receives to the end and answers with a byte.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report.h"

static char bytes[256 << 10];

static void serve(int client)
{
    char what = 0;
    if (read(client, &what, 1) != 1)
        return;
    if (what == 's') {
        for (int i = 0; i < 1024; i++)
            for (size_t sent = 0; sent < sizeof bytes;) {
                const ssize_t n = write(client, bytes + sent, sizeof bytes - sent);
                require(n > 0, "write");
                sent += (size_t)n;
            }
        return;
    }
    while (read(client, bytes, sizeof bytes) > 0) {}
    require(write(client, "", 1) == 1, "write");
}

int main(int argc, char **argv)
{
    require(argc == 2, "a port");
    const struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    require(bind(listener, (const struct sockaddr *)&at, sizeof at) == 0, "bind");
    require(listen(listener, 16) == 0, "listen");
    for (;;) {
        const int client = accept(listener, NULL, NULL);
        require(client >= 0, "accept");
        serve(client);
        close(client);
    }
}

// "fetch ADDRESS PORT": connects as soon as somebody listens, and says what it is told.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[2])) };
    inet_pton(AF_INET, argv[1], &at.sin_addr);
    for (int tries = 0; tries < 600; tries++) {
        int socket_ = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(socket_, (struct sockaddr *)&at, sizeof at) == 0) {
            char text[256];
            shutdown(socket_, SHUT_WR);
            ssize_t count = read(socket_, text, sizeof text);
            printf("got %.*s", (int)(count > 0 ? count : 0), text);
            return count > 0 ? 0 : 1;
        }
        close(socket_);
        usleep(100000);
    }
    perror("cannot connect");
    return 1;
}

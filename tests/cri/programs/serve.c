// "serve PORT WORDS": whoever connects is told WORDS. SIGTERM ends it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int signal) {
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(argv[1])) };
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 64) != 0) {
        perror("cannot listen");
        return 1;
    }
    printf("listening\n");
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        dprintf(client, "%s\n", argv[2]);
        shutdown(client, SHUT_WR);
        // What the client says first must not reset the connection under our words.
        char text[256];
        while (read(client, text, sizeof text) > 0)
            ;
        close(client);
    }
}

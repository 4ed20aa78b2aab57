//! Says that it is there and waits to be looked at from outside.

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    puts("ready");
    fflush(stdout);
    for (;;)
        sleep(1000);
}

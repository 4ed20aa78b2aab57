//! The smallest program worth starting: one line of output.

#include <stdio.h>

int main(void)
{
    puts("hello from the kiln");
    return 0;
}

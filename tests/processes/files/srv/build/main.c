#include <stdio.h>

#include "glaze.h"

int main(void) {
    printf("fired at %d degrees\n", glaze(2));
    return 0;
}

# A program of COUNT source files, made with as many jobs: project.sh DIRECTORY COUNT JOBS
set -e
rm -rf "$1"
mkdir -p "$1"
cd "$1"
export TMPDIR="$1"
number=1
calls= declarations=
while [ "$number" -le "$2" ]; do
    cat >part$number.c <<EOF
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int part$number(const char *word)
{
    char *copy = strdup(word);
    int sum = 0;
    for (size_t i = 0; i < strlen(copy); i++)
        sum = sum * 31 + copy[i] + $number;
    free(copy);
    return sum & 0xff;
}
EOF
    calls="$calls sum += part$number(\"kiln\");"
    declarations="$declarations int part$number(const char *);"
    number=$((number + 1))
done
cat >main.c <<EOF
#include <stdio.h>
$declarations
int main(void)
{
    int sum = 0;
    $calls
    return printf("%d\n", sum) < 0;
}
EOF
cat >Makefile <<'EOF'
objects := $(patsubst %.c,%.o,$(wildcard *.c))
program: $(objects)
	gcc -o $@ $^
%.o: %.c
	gcc -O2 -c $<
EOF
make -s -j"$3"
./program

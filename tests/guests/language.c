//! language: thread-local storage, setjmp, locale, floating point, sorting and qsort's memory.
//! build: static, pie, musl-static, musl-dynamic
#include "check.h"
#include <ctype.h>
#include <locale.h>
#include <setjmp.h>
#include <wchar.h>

static __thread int local = 41;
static __thread char zeroed[5000];
static __thread int aligned __attribute__((aligned(64))) = 3;
static jmp_buf back;

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

__attribute__((noinline)) static void jump(int value) { longjmp(back, value); }

int main(void) {
    CHECK(++local == 42 && zeroed[4999] == 0 && (uintptr_t)&aligned % 64 == 0 && aligned == 3);
    zeroed[4999] = 1;

    volatile int kept = 5;
    int value = setjmp(back);
    if (value == 0) {
        kept = 6;
        jump(9);
    }
    CHECK(value == 9 && kept == 6);

    CHECK(setlocale(LC_ALL, "C") != NULL);
    CHECK(setlocale(LC_ALL, "") != NULL || errno == ENOENT);
    CHECK(setlocale(LC_ALL, "xx_XX.absent") == NULL || setlocale(LC_ALL, "C") != NULL);
    CHECK(toupper('a') == 'A' && isalpha('z') && wcslen(L"wide") == 4);
    CHECK(localeconv()->decimal_point[0] == '.');

    char text[100];
    snprintf(text, sizeof text, "%.3f %e %g %5d|%-5s|%x %lld", 3.14159, 12345.678, 1e100, -42, "ab", 255, 1LL << 40);
    CHECK(!strcmp(text, "3.142 1.234568e+04 1e+100   -42|ab   |ff 1099511627776"));
    CHECK(strtod("1.5e3", NULL) == 1500.0 && strtol("-0x10", NULL, 0) == -16);

    static int numbers[100000];
    unsigned seed = 1;
    for (int i = 0; i < 100000; i++) numbers[i] = (int)((seed = seed * 1103515245 + 12345) >> 8);
    qsort(numbers, 100000, sizeof *numbers, compare);
    int unsorted = 0;
    for (int i = 1; i < 100000; i++) unsorted += numbers[i - 1] > numbers[i];
    CHECK_EQ(unsorted, 0);
    return done("language");
}

//! 1,000 threads that live at once and work together, then many short ones.

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 1000, ROUNDS = 20, SHORT_THREADS = 20000 };

static pthread_barrier_t barrier;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turns[THREADS];
static long guarded, token, handovers;
static _Thread_local long mine;

static void require(int condition, const char *what)
{
    if (!condition) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

static void *work(void *argument)
{
    const long number = (intptr_t)argument;
    mine = number;
    require(pthread_barrier_wait(&barrier) <= 0, "barrier");
    for (int round = 0; round < ROUNDS; round++) {
        char *block = malloc(100 + (size_t)(number * 7 % 5000));
        require(block != NULL, "malloc");
        memset(block, (int)number, 100);
        pthread_mutex_lock(&mutex);
        guarded++;
        pthread_mutex_unlock(&mutex);
        require(block[99] == (char)number, "memory of another thread");
        free(block);
    }
    // One token goes through all of them in order.
    pthread_mutex_lock(&mutex);
    while (token != number)
        pthread_cond_wait(&turns[number], &mutex);
    token++;
    handovers++;
    pthread_cond_signal(&turns[token % THREADS]);
    pthread_mutex_unlock(&mutex);
    return (void *)(mine * 2);
}

static void *add_one(void *argument)
{
    __atomic_fetch_add((long *)argument, 1, __ATOMIC_RELAXED);
    return NULL;
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (intptr_t n = 0; n < THREADS; n++) {
        const int error = pthread_create(&threads[n], NULL, work, (void *)n);
        require(error == 0, strerror(error));
    }
    long sum = 0;
    for (int n = 0; n < THREADS; n++) {
        void *result;
        require(pthread_join(threads[n], &result) == 0, "join");
        sum += (intptr_t)result;
    }
    printf("%d threads: %ld guarded, %ld handed over, sum %ld\n", THREADS, guarded, handovers, sum);

    long ended = 0;
    for (int n = 0; n < SHORT_THREADS; n += 10) {
        for (int i = 0; i < 10; i++)
            require(pthread_create(&threads[i], NULL, add_one, &ended) == 0, "create");
        for (int i = 0; i < 10; i++)
            require(pthread_join(threads[i], NULL) == 0, "join");
    }
    printf("%ld short threads\n", ended);
    return 0;
}

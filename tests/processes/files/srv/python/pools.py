"""multiprocessing with every way to start a process, and executors of processes."""
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory


def show(*words):
    print(*words, flush=True)


def square(number):
    return number * number


def work(queue, event, value, lock, barrier):
    event.wait()
    for _ in range(100):
        with lock:
            value.value += 1
    barrier.wait()
    queue.put(value.value)


def echo(connection):
    while (got := connection.recv()) is not None:
        connection.send([got, len(got)])
    os._exit(3)


def run(method):
    context = multiprocessing.get_context(method)
    queue, event, value = context.Queue(), context.Event(), context.Value("i", 0, lock=False)
    lock, barrier = context.Lock(), context.Barrier(3)
    workers = [context.Process(target=work, args=(queue, event, value, lock, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    event.set()
    show(method, [queue.get() for _ in workers])
    for worker in workers:
        worker.join()
    show([worker.exitcode for worker in workers], value.value)
    ours, theirs = context.Pipe()
    child = context.Process(target=echo, args=(theirs,))
    child.start()
    for size in 3, 300_000:
        ours.send("x" * size)
        show(ours.recv()[1])
    ours.send(None)
    child.join()
    show(child.exitcode)
    with context.Pool(3) as pool:
        show(sum(pool.map(square, range(1000))), pool.apply(square, (12,)))
    sleeper = context.Process(target=time.sleep, args=(100,))
    sleeper.start()
    sleeper.kill()
    sleeper.join()
    show(sleeper.exitcode == -signal.SIGKILL)


if __name__ == "__main__":
    for method in "fork", "spawn", "forkserver":
        run(method)
    with ProcessPoolExecutor(2) as executor:
        show(list(executor.map(square, range(10))))
    memory = shared_memory.SharedMemory(create=True, size=100)
    child = multiprocessing.Process(target=lambda: memory.buf.__setitem__(0, 5))
    child.start()
    child.join()
    show(memory.buf[0])
    memory.close()
    memory.unlink()
    with multiprocessing.Manager() as manager:
        kept = manager.dict()
        child = multiprocessing.Process(target=lambda: kept.update(kiln="hot"))
        child.start()
        child.join()
        show(dict(kept))

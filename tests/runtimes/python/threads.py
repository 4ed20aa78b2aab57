"""Every primitive of threading, under real contention."""
import queue
import sys
import threading
import time

sys.setswitchinterval(1e-4)


def run(count, target, *args):
    threads = [threading.Thread(target=target, args=(n, *args)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


lock, total = threading.Lock(), [0]


def add(_):
    for _ in range(5000):
        with lock:
            total[0] += 1


run(8, add)
print("lock", total[0])

rlock, depth = threading.RLock(), []


def nest(number):
    with rlock, rlock:
        depth.append(number)
        time.sleep(0.001)
        assert depth[-1] == number
        depth.pop()


run(8, nest)
print("rlock", depth)

condition, turn, order = threading.Condition(), [0], []


def in_turn(number):
    for step in range(20):
        with condition:
            condition.wait_for(lambda: turn[0] == step * 4 + number)
            order.append(number)
            turn[0] += 1
            condition.notify_all()


run(4, in_turn)
print("condition", order == [0, 1, 2, 3] * 20)

jobs, results = queue.Queue(maxsize=3), queue.Queue()


def work(_):
    while (job := jobs.get()) is not None:
        results.put(job * job)


workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for worker in workers:
    worker.start()
for job in range(500):
    jobs.put(job)
for _ in workers:
    jobs.put(None)
for worker in workers:
    worker.join()
print("queue", sum(results.get() for _ in range(500)))

semaphore, inside, peak = threading.BoundedSemaphore(3), [0], [0]


def visit(_):
    with semaphore:
        with lock:
            inside[0] += 1
            peak[0] = max(peak[0], inside[0])
        time.sleep(0.002)
        with lock:
            inside[0] -= 1


run(10, visit)
print("semaphore", peak[0] <= 3, inside[0])

barrier, passed = threading.Barrier(5), []


def meet(number):
    for _ in range(10):
        barrier.wait()
        passed.append(number)
        barrier.wait()


run(5, meet)
print("barrier", len(passed))

event, fired = threading.Event(), []
timer = threading.Timer(0.02, lambda: (fired.append("timer"), event.set()))
timer.start()
assert event.wait(30)
timer.join()
print("timer", fired, threading.Event().wait(0.01))

local, seen = threading.local(), []


def remember(number):
    local.value = number
    time.sleep(0.002)
    seen.append(local.value)


run(6, remember)
print("local", sorted(seen), hasattr(local, "value"))

caught = []
threading.excepthook = lambda args: caught.append(args.exc_type.__name__)
run(3, lambda _: 1 / 0)
print("excepthook", caught)

threading.stack_size(256 * 1024)


def descend(number):
    return 0 if number == 0 else 1 + descend(number - 1)


deep = []
run(2, lambda _: deep.append(descend(300)))
threading.stack_size(0)
print("stack_size", deep)

idents = set()
run(50, lambda _: (idents.add(threading.get_native_id()), time.sleep(0.05)))
print("native ids", len(idents), threading.active_count())

spinning = [True]


def spin():
    while spinning[0]:
        pass


spinner = threading.Thread(target=spin)
spinner.start()
time.sleep(0.05)
spinning[0] = False
spinner.join()
print("spinner ended")

threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("a daemon does not hold us back")

"""concurrent.futures on threads."""
import hashlib
import threading
import time
from concurrent import futures


def digest(number):
    return hashlib.sha256(b"%d" % number * 100000).hexdigest()[:8]


with futures.ThreadPoolExecutor(4) as pool:
    print(*pool.map(digest, range(12)))
    jobs = {pool.submit(pow, number, 3): number for number in range(100)}
    print(sum(job.result() for job in futures.as_completed(jobs)))
    print(type(pool.submit(lambda: 1 / 0).exception()).__name__)
    slow = pool.submit(time.sleep, 0.2)
    try:
        slow.result(timeout=0.01)
    except futures.TimeoutError:
        print("timeout")
    done, waiting = futures.wait([slow, pool.submit(int)], return_when=futures.FIRST_COMPLETED)
    print(len(done), len(waiting))
    gate = threading.Event()
    blocked = [pool.submit(gate.wait) for _ in range(4)]
    late = pool.submit(print, "never")
    print("cancelled", late.cancel())
    gate.set()
    print(all(job.result() for job in blocked))

names = set()
with futures.ThreadPoolExecutor(3, "kiln", initializer=lambda: names.add(threading.current_thread().name)) as pool:
    list(pool.map(time.sleep, [0.01] * 9))
print(sorted(names))
with futures.ThreadPoolExecutor(200) as pool:
    barrier = threading.Barrier(200)
    print(sum(pool.map(lambda _: barrier.wait(), range(200))))

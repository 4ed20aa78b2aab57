"""multiprocessing.shared_memory between threads. Its resource tracker is a
process of its own, and the program has none beside itself: it is left out."""
import array
import os
import threading
from multiprocessing import resource_tracker, shared_memory

resource_tracker.register = resource_tracker.unregister = lambda name, kind: None

block = shared_memory.SharedMemory(name="kiln", create=True, size=1 << 20)
print(block.name, block.size, os.path.exists("/dev/shm/kiln"))
try:
    shared_memory.SharedMemory(name="kiln", create=True, size=1)
except FileExistsError as error:
    print("again:", error.strerror)


def fill(number):
    other = shared_memory.SharedMemory(name="kiln")
    view = other.buf[number * 65536 : (number + 1) * 65536]
    view[:] = bytes([number + 1]) * 65536
    view.release()
    other.close()


threads = [threading.Thread(target=fill, args=(number,)) for number in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(block.buf), block.buf[0], block.buf[65536 * 15])

words = shared_memory.ShareableList(["clay", 3, 2.5, None, b"glaze", True])
same = shared_memory.ShareableList(name=words.shm.name)
same[0], same[1] = "fire", 4
print(list(words), words.count(4), words.index("fire"))
same.shm.close()
words.shm.close()
words.shm.unlink()

mapped = array.array("Q", block.buf[:80])
print(mapped[0], mapped[9])
block.close()
block.unlink()
print(os.path.exists("/dev/shm/kiln"))
try:
    shared_memory.SharedMemory(name="kiln")
except FileNotFoundError as error:
    print("gone:", error.strerror)

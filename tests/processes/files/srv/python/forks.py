"""os.fork: memory, threads, waiting in all its forms, signals, locks and pseudo-terminals."""
import fcntl
import mmap
import os
import signal
import threading
import time


def show(*words):
    print(*words, flush=True)


def child(run):
    """A process that runs a function and ends with what it returns."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = run() or 0
        finally:
            os._exit(code)
    return pid


def code_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


data = [1, 2, 3]
show(code_of(child(lambda: data.append(4) or len(data))), data)
shared = mmap.mmap(-1, 4096)
show(code_of(child(lambda: shared.write(b"child") and 0)), shared[:5])
# A generation of each.
show(code_of(child(lambda: code_of(child(lambda: code_of(child(lambda: 5)) + 1)) + 1)))
show(code_of(child(lambda: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(9))))

pids = [child(lambda n=n: n) for n in range(30)]
ended = {}
while pids:
    pid, status = os.waitpid(-1, os.WNOHANG)
    if pid:
        ended[pid] = os.waitstatus_to_exitcode(status)
        pids.remove(pid)
show(sorted(ended.values()) == list(range(30)))

pid = child(lambda: time.sleep(9))
show(os.waitpid(pid, os.WNOHANG), os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG))
os.kill(pid, signal.SIGKILL)
info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
show(info.si_pid == pid, info.si_status, info.si_code == os.CLD_KILLED)
show(code_of(pid))

told = []
signal.signal(signal.SIGCHLD, lambda *_: told.append(1))
pid = child(lambda: 0)
while not told:
    time.sleep(0.01)
show("told", code_of(pid))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pid = child(lambda: 0)
try:
    os.waitpid(pid, 0)
except ChildProcessError:
    show("nobody to wait for")
signal.signal(signal.SIGCHLD, signal.SIG_DFL)

# A group is told as a whole.
reader, writer = os.pipe()


def member():
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(8))
    os.write(writer, b"r")
    time.sleep(60)


first = child(lambda: os.setpgid(0, 0) or member())
os.setpgid(first, first) if os.getpgid(first) != first else None
second = child(lambda: os.setpgid(0, first) or member())
while len(os.read(reader, 1)) < 1 or len(os.read(reader, 1)) < 1:
    pass
os.killpg(first, signal.SIGUSR1)
show(code_of(first), code_of(second))

# Locks of a process are its own; those of an open file are its children's as well.
file = os.open("/tmp/locked", os.O_RDWR | os.O_CREAT)
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock():
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 1


show(code_of(child(try_lock)))
fcntl.lockf(file, fcntl.LOCK_UN)
show(code_of(child(try_lock)))
os.unlink("/tmp/locked")

# The child of a thread has that thread alone.
stop = threading.Event()
others = [threading.Thread(target=stop.wait) for _ in range(4)]
for thread in others:
    thread.start()
results = []
starter = threading.Thread(
    target=lambda: results.append(code_of(child(lambda: len(os.listdir("/proc/self/task"))))))
starter.start()
starter.join()
stop.set()
show(results)

pid, terminal = os.forkpty()
if pid == 0:
    os.execlp("sh", "sh", "-c", "test -t 0 && echo a terminal; exit 6")
text = b""
while True:
    try:
        more = os.read(terminal, 100)
    except OSError:
        break
    text += more
    if not more:
        break
show(text, code_of(pid))

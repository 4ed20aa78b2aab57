"""signal: handlers, timers, masks, waiting, wakeup descriptors, threads."""
import os
import signal
import threading
import time

got = []
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM):
    signal.signal(number, lambda number, frame: got.append(signal.Signals(number).name))


def until(count):
    deadline = time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    result, got[:] = sorted(got), []
    return result


signal.raise_signal(signal.SIGUSR1)
os.kill(os.getpid(), signal.SIGUSR2)
print("raised", until(2))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
print("real timer", until(3)[:3])
signal.setitimer(signal.ITIMER_REAL, 0)
got.clear()
signal.alarm(1)
start = time.monotonic()
signal.pause()
print("alarm", until(1), time.monotonic() - start > 0.9)

signal.setitimer(signal.ITIMER_REAL, 0.02)
start = time.monotonic()
time.sleep(0.1)
print("sleep goes on", until(1), time.monotonic() - start >= 0.1)

read_end, write_end = os.pipe()
signal.setitimer(signal.ITIMER_REAL, 0.02)
threading.Timer(0.1, os.write, (write_end, b"x")).start()
print("read goes on", os.read(read_end, 1), until(1))

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
signal.raise_signal(signal.SIGUSR1)
print("pending", signal.SIGUSR1 in signal.sigpending(), got)
print("sigwait", signal.sigwait({signal.SIGUSR1}).name)
os.kill(os.getpid(), signal.SIGUSR2)
info = signal.sigwaitinfo({signal.SIGUSR2})
print("sigwaitinfo", info.si_signo == signal.SIGUSR2, info.si_pid == os.getpid(), info.si_uid == os.getuid())
print("sigtimedwait", signal.sigtimedwait({signal.SIGUSR1}, 0.02))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGUSR2})


def other_thread():
    time.sleep(0.02)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)


thread = threading.Thread(target=other_thread)
thread.start()
print("pthread_kill", until(1))
thread.join()


def waiter(found):
    found.append(signal.sigwait({signal.SIGRTMIN + 1}))


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN + 1})
found = []
thread = threading.Thread(target=waiter, args=(found,))
thread.start()
time.sleep(0.02)
os.kill(os.getpid(), signal.SIGRTMIN + 1)
thread.join()
print("taken by a thread", found == [signal.SIGRTMIN + 1])

os.set_blocking(write_end, False)
signal.set_wakeup_fd(write_end)
signal.raise_signal(signal.SIGUSR1)
signal.raise_signal(signal.SIGUSR2)
print("wakeup", list(os.read(read_end, 10)), until(2))
signal.set_wakeup_fd(-1)

signal.signal(signal.SIGFPE, lambda *_: got.append("SIGFPE"))
signal.raise_signal(signal.SIGFPE)
print("fpe", until(1))
try:
    signal.signal(signal.SIGKILL, signal.SIG_IGN)
except OSError as error:
    print("SIGKILL", error.strerror)
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("KeyboardInterrupt")

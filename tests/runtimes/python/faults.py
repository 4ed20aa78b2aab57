"""faulthandler: dumps of all threads, after a time, at a signal; with the
argument `crash`, at the end."""
import faulthandler
import os
import signal
import sys
import tempfile
import threading
import time

if sys.argv[1:] == ["crash"]:
    faulthandler.enable()

    def wait_in_thread(started):
        started.set()
        time.sleep(1000)

    begun = threading.Event()
    threading.Thread(target=wait_in_thread, args=(begun,), daemon=True).start()
    begun.wait()
    print("about to crash", flush=True)
    faulthandler._sigsegv()


def written(action):
    with tempfile.TemporaryFile("w+") as file:
        action(file)
        file.seek(0)
        return file.read()


def parked(gate):
    gate.wait()


gate = threading.Event()
thread = threading.Thread(target=parked, args=(gate,))
thread.start()
time.sleep(0.05)
text = written(lambda file: faulthandler.dump_traceback(file, all_threads=True))
print("threads", text.count("Thread 0x"), "in parked" in text, "in <module>" in text)
gate.set()
thread.join()


def later(file):
    faulthandler.dump_traceback_later(0.05, file=file)
    time.sleep(0.5)
    faulthandler.cancel_dump_traceback_later()


text = written(later)
print("later", text.startswith("Timeout (0:00:00.05"), "in later" in text)


def at_signal(file):
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=False)
    os.kill(os.getpid(), signal.SIGUSR1)
    faulthandler.unregister(signal.SIGUSR1)


text = written(at_signal)
print("register", "in at_signal" in text)
faulthandler.enable(file=sys.stdout)
print("enabled", faulthandler.is_enabled())
faulthandler.disable()
print("disabled", not faulthandler.is_enabled())

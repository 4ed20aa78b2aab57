"""Where no process may be made, whatever would is a PermissionError at once, and nothing hangs."""
import multiprocessing
import os
import subprocess
import sys


def refused(what, call):
    try:
        result = call()
    except OSError as error:
        print(what, "refused:", type(error).__name__, error.errno is not None)
    else:
        print(what, "was not refused:", result)


before = len(os.listdir("/proc/self/fd"))
refused("subprocess.run", lambda: subprocess.run(["/usr/bin/true"]))
refused("subprocess.Popen", lambda: subprocess.Popen("echo hi", shell=True, stdout=subprocess.PIPE))
refused("a program that is not there", lambda: subprocess.run(["/no/such/program"]))
refused("fork", os.fork)
refused("forkpty", os.forkpty)
refused("posix_spawn", lambda: os.posix_spawn("/usr/bin/true", ["true"], {}))
refused("popen", lambda: os.popen("true"))
print("descriptors left open:", len(os.listdir("/proc/self/fd")) - before)
# multiprocessing itself leaves some open.
refused("multiprocessing", lambda: multiprocessing.get_context("fork").Process(target=print).start())
print("system", os.system("true") != 0)
refused("waitpid", lambda: os.waitpid(-1, 0))
refused("spawn", lambda: multiprocessing.get_context("spawn").Process(target=print).start())
print("alive", sys.version_info[:2])

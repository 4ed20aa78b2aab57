"""subprocess and os: programs with pipes, limits, other users and signals."""
import os
import resource
import signal
import subprocess


def show(*words, end="\n"):
    print(*words, end=end, flush=True)


run = subprocess.run
show(run(["/bin/echo", "hi"], capture_output=True, text=True).stdout, end="")
show(subprocess.check_output("echo shell | tr a-z A-Z", shell=True))
cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
show(cat.communicate(b"x" * 300_000)[0] == b"x" * 300_000, cat.returncode)
for path in "/nothing", "/etc", "/etc/passwd":
    try:
        run([path])
    except OSError as error:
        show(type(error).__name__, error.filename)
sleep = subprocess.Popen(["sleep", "100"])
show(sleep.poll())
sleep.terminate()
show(sleep.wait(), sleep.poll())
try:
    run(["sleep", "100"], timeout=0.1)
except subprocess.TimeoutExpired:
    show("timeout")
show(run(["sh", "-c", "kill -9 $$"]).returncode)
show(run(["sh", "-c", "exit 77"]).returncode)
seventh = os.memfd_create("seventh")
os.write(seventh, b"seven\n")
os.lseek(seventh, 0, os.SEEK_SET)
script = "id -u; id -g; pwd; umask; echo $A; ulimit -c; cat <&$SEVENTH; kill -0 -$$ && echo leads"
child = run(
    ["sh", "-c", script], capture_output=True, text=True, cwd="/tmp", user=1000, group=50,
    extra_groups=[], umask=0o27, start_new_session=True, pass_fds=[seventh],
    env={"A": "b", "PATH": os.environ["PATH"], "SEVENTH": str(seventh)},
    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
)
show(child.stdout.split(), child.stderr, child.returncode)
first = subprocess.Popen(["seq", "100000"], stdout=subprocess.PIPE)
second = subprocess.Popen(["sort", "-rn"], stdin=first.stdout, stdout=subprocess.PIPE)
third = subprocess.Popen(["head", "-n1"], stdin=second.stdout, stdout=subprocess.PIPE)
first.stdout.close()
second.stdout.close()
show(third.communicate()[0], first.wait(), second.wait())
show(os.popen("echo popen").read(), os.waitstatus_to_exitcode(os.system("exit 3")))
pid = os.posix_spawn(
    "/bin/sh", ["sh", "-c", "echo spawned; exec echo to a file >&4"], os.environ,
    file_actions=[(os.POSIX_SPAWN_OPEN, 4, "/tmp/spawned", os.O_CREAT | os.O_WRONLY, 0o600)],
    setsigmask=[signal.SIGUSR1], setsigdef=[signal.SIGPIPE], setpgroup=0,
)
show(os.waitpid(pid, 0)[1], open("/tmp/spawned").read(), end="")
os.unlink("/tmp/spawned")
many = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(40)]
show([p.wait() for p in many] == list(range(40)))
try:
    os.wait()
except ChildProcessError:
    show("no child is left")

# Command substitution, subshells, background jobs and wait.
x=$(echo hi; exit 5); echo "$x $?"
echo "nested $(echo "$(echo "$(echo deep)")")"
y=1; (y=2; cd /tmp; echo "$y $PWD"); echo "$y $PWD"
lines=$(for i in $(seq 150); do /bin/echo "$i"; done | wc -l | tr -d ' '); echo "$lines"
sleep 0.05 & wait $!; echo "waited: $?"
pids=
for i in 3 1 2; do (sleep 0.0$i; exit $i) & pids="$pids $!"; done
for pid in $pids; do wait "$pid"; echo "child: $?"; done
wait "$$" 2>/dev/null; echo "not a child: $?"
(exec sleep 20; echo never) & kill -TERM $!; wait $! 2>/dev/null; echo "terminated: $?"
(kill -9 "$(sh -c 'echo $PPID')") 2>/dev/null; echo "killed itself: $?"
sh -c 'exit 200'; echo "$?"
/nothing/there 2>/dev/null; echo "not found: $?"
/etc 2>/dev/null; echo "a directory: $?"
printf 'echo "a script without interpreter: $1"' >/tmp/plain.$$; chmod +x /tmp/plain.$$
/tmp/plain.$$ one
printf '#!/nothing/sh\n' >/tmp/plain.$$; /tmp/plain.$$ 2>/dev/null; echo "no interpreter: $?"
printf '#!/bin/sh -e\nfalse\necho never\n' >/tmp/plain.$$; /tmp/plain.$$; echo "with an option: $?"
rm /tmp/plain.$$
# Variables go to children only when exported.
a=1; export b=2; sh -c 'echo "${a-none} $b"'; c=3 sh -c 'echo "$c"'
# What is open stays open; what is closed is closed.
exec 5>/tmp/five.$$; sh -c 'echo five >&5'; exec 5>&-; sh -c 'echo six >&5' 2>/dev/null || echo closed
cat /tmp/five.$$; rm /tmp/five.$$
(umask 077; ulimit -n 77; sh -c 'umask; ulimit -n'); umask
set -- $(env -i A=b env); echo "$*"
wait

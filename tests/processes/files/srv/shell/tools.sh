# Programs that start others: find, xargs, env, nice, timeout, nohup, setsid.
mkdir -p /tmp/tools.$$/a/b; cd /tmp/tools.$$ || exit 1
echo 1 >one; echo 22 >a/two; echo 333 >a/b/three
find . -type f -exec cat {} \; | sort
find . -type f -exec wc -c {} + | tail -n 1 | tr -s ' '
find . -name 'tw*' -execdir echo {} \;
find . -type f -exec false {} \; -o -type f -print | sort
find . -type f -print0 | xargs -0 -n 1 basename | sort
seq 40 | xargs -P 2 -n 3 sh -c 'echo $(($1 * $2 + ${3-0}))' - | sort -n | tail -n 3
seq 8 | xargs -P 4 -I N sh -c 'sleep 0.0N; exit 0'; echo "xargs: $?"
echo x | xargs sh -c 'exit 3' ; echo "a failure: $?"
echo x | xargs /nothing 2>/dev/null; echo "nothing: $?"
timeout 0.2 sleep 20; echo "timeout: $?"
timeout 20 sh -c 'exit 4'; echo "in time: $?"
timeout -s KILL 0.1 sleep 20 2>/dev/null; echo "killed: $?"
nice -n 100 nice
nohup sh -c 'echo nohup' 2>/dev/null
setsid sh -c 'echo setsid' | cat
env -u HOME sh -c 'echo "${HOME-no home}"'
cd /; rm -r /tmp/tools.$$

# What bash alone has.
set -o pipefail; false | true; echo "$? ${PIPESTATUS[*]}"; set +o pipefail
paste <(echo 1; echo 2) <(echo a; echo b)
tee >(cat >/tmp/tee.$$) </etc/group >/dev/null
until [ "$(cat /tmp/tee.$$)" = "$(cat /etc/group)" ]; do sleep 0.05; done; rm /tmp/tee.$$
coproc CAT { cat; }; echo hello >&"${CAT[1]}"; read -r -u "${CAT[0]}" line; echo "coproc $line"
kill "$CAT_PID"; wait "$CAT_PID" 2>/dev/null; echo "$?"
mapfile -t lines < <(seq 3); echo "${#lines[@]}"
cat <<<"here string"
wait -n 2>/dev/null; echo "nobody to wait for: $?"
(sleep 1; exit 1) & (sleep 0.05; exit 2) & wait -n; echo "first: $?"; wait
trap 'echo "chld"' CHLD; /bin/true; trap - CHLD
set -m; (exit 7) & wait $!; echo "job: $?"; sleep 30 & kill %+; wait $! 2>/dev/null; echo "$?"; set +m
[ "$BASHPID" = $$ ] && (sub=$BASHPID; [ "$sub" != $$ ] && echo "a subshell's own id")
time -p true 2>/dev/null; TIMEFORMAT=timed; time true
shopt -s lastpipe; echo last | read -r word; echo "$word"
read -r -t 0.1 nothing < <(sleep 1); echo "read: $(($? > 128))"
exec -a other bash -c 'echo "$0"'

# Traps: of signals, of the end, in subshells, and while waiting.
trap 'echo usr1' USR1
kill -USR1 $$
echo "after usr1"
(trap - USR1; trap 'echo "end of the subshell"' EXIT; exit 3); echo "$?"
trap 'echo term' TERM
(sleep 0.1; kill -TERM $$) &
sleep 5 & sleeper=$!
wait $sleeper; echo "wait was interrupted: $(($? > 128))"
kill $sleeper; wait $sleeper 2>/dev/null
wait
trap '' INT
sh -c 'kill -INT $$; echo "ignored in the child as well"'
trap - INT
sh -c 'kill -INT $$; echo never'; echo "interrupted: $?"
trap 'echo "hup from a child"' HUP
sh -c 'kill -HUP $PPID'
echo "after hup"
sh -c 'trap "echo cleaning up; exit 9" TERM; kill -TERM $$; echo never'; echo "$?"
trap 'echo "at the end: $?"' EXIT
exit 6

# A child that leaves its own child behind: whoever is process 1 must take it in, and wait
# for it, or it stays for ever.
orphan=$(sh -c 'sleep 0.2 >/dev/null & echo $!')
while kill -0 "$orphan" 2>/dev/null; do sleep 0.05; done
echo "reaped"
trap 'echo "told to stop"; exit 7' TERM
echo "ready as child of $PPID"
while :; do sleep 0.1; done

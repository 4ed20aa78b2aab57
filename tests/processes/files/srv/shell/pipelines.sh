# Pipelines: of programs and of the shell's own loops, long ones, broken ones.
echo clay | tr a-y b-z | cat -n
seq 5000 | sort -rn | head -n 3
seq 300000 | tail -n 1
yes kiln | head -n 2
for i in 1 2 3; do echo "$i"; done | while read -r x; do echo "[$x]"; done
printf 'b\na\nb\n' | sort | uniq -c | sed 's/^ *//'
echo start | cat | cat | cat | cat | cat | cat | cat | cat | wc -c | tr -d ' '
{ echo out; echo err >&2; } 2>&1 | sort
(exit 3) | cat; echo "last of the pipeline: $?"
cat /nothing 2>/dev/null | (exit 4); echo "and here: $?"
! true | false; echo "negated: $?"
# A writer whose reader is gone gets SIGPIPE.
{ (seq 1000000; echo "ended with $?" >&2) | head -n 1; } 2>/dev/null
dd if=/dev/zero bs=65536 count=64 2>/dev/null | wc -c | tr -d ' '
mkfifo /tmp/fifo.$$
echo "through a name" >/tmp/fifo.$$ &
cat /tmp/fifo.$$
wait
rm /tmp/fifo.$$

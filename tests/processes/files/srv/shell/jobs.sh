# Job control: jobs that stop, and go on behind the shell and in front of it. bash warns where
# one has stopped before it is waited for, which is a matter of moments.
set -m
sh -c 'echo one; kill -STOP $$; echo two; exit 3' &
wait %1 2>/dev/null
echo "stopped: $?"
jobs
fg %1
echo "in front: $?"
# It takes a while: the shell is to wait before it ends.
sh -c 'kill -TSTP $$; sleep 0.5; echo three' &
wait $! 2>/dev/null
echo "stopped: $?"
bg
wait $! 2>/dev/null
echo "behind: $?"
# In front from the beginning.
sh -c 'kill -STOP $$; exit 4'
echo "stopped: $?"
jobs
fg
echo "continued: $?"
# A signal waits until the job goes on.
sleep 100 &
job=$!
kill -STOP %%
wait $job 2>/dev/null
echo "stopped: $?"
kill $job
fg
echo "ended: $?"
# Behind the shell nobody reads from the terminal.
cat &
wait $! 2>/dev/null
echo "reads: $?"
kill $!
fg
echo "ended: $?"
stty tostop
echo four &
wait $! 2>/dev/null
echo "writes: $?"
fg
echo "in front: $?"
jobs

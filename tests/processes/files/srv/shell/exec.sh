# exec: redirections alone, a program in place, and the last line of entrypoints.
exec 3>&1 >/tmp/exec.$$
echo "to the file"
exec >&3 3>&-
cat /tmp/exec.$$; rm /tmp/exec.$$
before=$(sh -c 'echo $$; exec sh -c "echo \$\$"' | sort -u | wc -l | tr -d ' ')
echo "$before id"
(exec sh -c 'exit 8'); echo "$?"
(exec /nothing) 2>/dev/null; echo "nothing: $?"
set -- sh -c 'for word; do echo "<$word>"; done; exit 11' name 'two words' '' '*'
exec "$@"

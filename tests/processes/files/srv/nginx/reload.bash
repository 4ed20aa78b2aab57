# nginx as its package starts it: in the background, with a worker for each CPU; other
# workers after a reload, and an end that lets them finish.
status() {
    exec 3<>/dev/tcp/127.0.0.1/80 || return 1
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    head -n 1 <&3
    exec 3>&-
}

nginx -t -q || exit 1
nginx -g 'daemon on; master_process on;' || exit 1
master=$(cat /run/nginx.pid)
status
nginx -s reload
sleep 0.5
status
[ "$(cat /run/nginx.pid)" = "$master" ] && echo "the same master"
# Its end is seen by its parent alone, which is the first process: this shell.
kill -QUIT "$master"
while kill -0 "$master" 2>/dev/null; do sleep 0.05; done
[ -e /run/nginx.pid ] || echo "ended"
(status) 2>/dev/null || echo "nobody listens"
exit 0

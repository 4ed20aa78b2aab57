# A new database without authentication, and its server: postgres.sh DIRECTORY PORT
set -e
bin=/usr/lib/postgresql/15/bin
rm -rf "$1"
mkdir -p "$1"
chown 65534:65534 "$1"
as='setpriv --reuid=65534 --regid=65534 --clear-groups'
$as $bin/initdb -D "$1/data" -U bench -A trust --no-locale --no-sync >/dev/null
exec $as $bin/postgres -D "$1/data" -h 127.0.0.1 -p "$2" -k "$1" -c fsync=off

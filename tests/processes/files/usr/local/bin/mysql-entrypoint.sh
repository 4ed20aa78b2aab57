#!/bin/bash
# As an image of MySQL or MariaDB starts: root gives the data away, the first start makes
# them with a server in the background, then the real one runs in place.
set -eo pipefail
shopt -s nullglob

data=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

if [ "$1" = mariadbd ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$data" "${socket%/*}"
    find "$data" "${socket%/*}" ! -user mysql -exec chown mysql: '{}' +
    exec gosu mysql "$0" "$@"
fi

ask() {
    mariadb --protocol=socket --socket="$socket" -uroot "$@"
}

if [ ! -d "$data/mysql" ]; then
    mariadb-install-db --datadir="$data" --auth-root-authentication-method=normal \
        --skip-test-db --cross-bootstrap >/dev/null
    "$@" --skip-networking --socket="$socket" --datadir="$data" &
    pid=$!
    for i in {60..0}; do
        if ask --database=mysql <<<'SELECT 1' &>/dev/null; then
            break
        fi
        sleep 0.5
    done
    [ "$i" != 0 ]
    ask <<-EOSQL
		CREATE DATABASE kilns;
		CREATE TABLE kilns.glazes (name varchar(20));
		INSERT INTO kilns.glazes VALUES ('celadon'), ('tenmoku');
	EOSQL
    echo "entrypoint: glazes: $(ask -N -e 'SELECT count(*) FROM kilns.glazes')"
    kill "$pid"
    wait "$pid"
    echo "entrypoint: ready"
fi

exec "$@" --socket="$socket" --datadir="$data"

#!/usr/bin/env bash
# As an image of PostgreSQL starts: the first start makes a cluster with the help of a
# server that nobody outside reaches, then the real server runs in place.
set -Eeo pipefail

if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 00700 "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres '{}' +
    chown postgres:postgres /var/run/postgresql
    chmod 03775 /var/run/postgresql
    exec gosu postgres "$BASH_SOURCE" "$@"
fi

sql() {
    psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"
}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth-host=scram-sha-256 --auth-local=trust --no-sync
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"

    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
    sql --dbname postgres --set db="$POSTGRES_DB" <<-'EOSQL'
		CREATE DATABASE :"db" ;
	EOSQL
    for script in /srv/initdb/*; do
        case "$script" in
        *.sh) echo "entrypoint: $script" && . "$script" ;;
        *.sql) echo "entrypoint: $script" && sql --dbname "$POSTGRES_DB" -f "$script" ;;
        *.sql.gz) echo "entrypoint: $script" && gunzip -c "$script" | sql --dbname "$POSTGRES_DB" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    echo "entrypoint: the cluster is made"
fi

exec "$@"

#!/bin/sh
# As an image of nginx starts: every script of a folder in order, then the server in place.
set -e

if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
    if find /srv/nginx/entrypoint.d -mindepth 1 -maxdepth 1 -type f -print -quit | read -r _; then
        find /srv/nginx/entrypoint.d -follow -type f -print | sort -V | while read -r script; do
            case "$script" in
            *.sh)
                if [ -x "$script" ]; then
                    echo "entrypoint: $script"
                    "$script"
                fi
                ;;
            *) echo "entrypoint: ignoring $script" ;;
            esac
        done
    fi
fi

exec "$@"

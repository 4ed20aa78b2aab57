#!/bin/sh
# Fills in what the environment says; other dollar signs stay.
set -e
defined=$(printf '${%s} ' $(env | cut -d= -f1))
find /srv/nginx/templates -follow -type f -name '*.template' -print | while read -r template; do
    envsubst "$defined" <"$template" >/etc/nginx/conf.d/"$(basename "$template" .template)"
done

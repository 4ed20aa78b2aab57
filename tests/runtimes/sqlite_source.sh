#!/usr/bin/env bash
# Takes test/speedtest1.c out of Debian's source package of SQLite: sqlite_source.sh FILE.
# Reads this machine's apt sources as if they had deb-src lines, in directories of its own.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/sources.list.d" "$work/lists/partial" "$work/cache/archives/partial" "$work/package"
shopt -s nullglob
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] && sed -nE 's/^deb( |\t)/deb-src\1/p' "$file" >"$work/sources.list.d/${file##*/}"
done
for file in /etc/apt/sources.list.d/*.sources; do
    sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$work/sources.list.d/${file##*/}"
done

apt() {
    apt-get -qq -o "Dir::Etc::sourcelist=-" -o "Dir::Etc::sourceparts=$work/sources.list.d" \
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root "$@"
}
apt update
cd "$work/package"
apt source --download-only sqlite3
tar -xJf sqlite3_*.orig.tar.xz --wildcards --strip-components=2 '*/test/speedtest1.c'
cp speedtest1.c "$1"

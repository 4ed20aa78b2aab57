#!/usr/bin/env bash
# Puts Debian's kernel into CACHE/kernel, unpacked and never installed: svm_kernel.sh CACHE.
set -euo pipefail
cache=$1
[ ! -d "$cache/kernel" ] || exit 0

newest() { apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }'; }
mkdir -p "$cache"
fresh=$(mktemp -d "$cache/kernel.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
package=$(newest)
[ -n "$package" ] || { apt-get update -qq; package=$(newest); }
cd "$fresh"
apt-get download -qq -o APT::Sandbox::User=root "$package" >&2
dpkg -x ./linux-image-*.deb .
rm ./*.deb
chmod 755 "$fresh"
cd ..
mv -T "$fresh" kernel

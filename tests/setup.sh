#!/usr/bin/env bash
# Installs what the tests need on Debian 12, and only what is missing.
set -euo pipefail

packages=(
    gcc libc6-dev musl-tools                              # compilers of tests/guests
    g++                                                   # libFuzzer (tests/fuzz)
    busybox-static coreutils findutils diffutils grep sed # programs that run unmodified
    gawk lua5.4 perl python3.11 sqlite3 gzip tar util-linux
    strace                                                # what --strace is compared with
    erofs-utils mmdebstrap skopeo umoci                   # makers of images, checkers of file systems
    conmon runc crun                                      # daemon/tests/oci
    docker-registry apache2-utils openssl                 # tests/registry: a registry, its passwords and certificates
    protobuf-compiler                                     # the crate k8s-cri, which proto/ is compared with
    runc conmon containernetworking-plugins iproute2 iptables # tests/cri: other kinds of pods; tests of networks
    cpio kmod qemu-system-x86                             # the second kind of KVM (tests/svm.sh)
    libpython3.11-testsuite openjdk-17-jdk-headless       # tests/runtimes: 250 MB to download, 800 MB installed
    golang-go ruby3.1 php8.2-cli libsqlite3-dev
    media-types tzdata xz-utils
    python3-pip                                           # what comes from PyPI, npm among it, is installed below target/tmp
    curl wrk redis-tools libmemcached-tools               # clients of tests/servers; servers are only unpacked, so no service starts
    postgresql-client-15 openssh-client bash dash         # clients of tests/processes, and its shells on this machine
)

# rustup fetches what rust-toolchain.toml names by itself, unless it was told not to.
if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx x86_64-unknown-none; then
    rustup target add x86_64-unknown-none
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || { echo "tests/setup.sh: as root: apt-get install ${missing[*]}" >&2; exit 1; }
echo "tests/setup.sh: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
# A network that is away for a moment is waited for.
for pause in 0 10 30 60 0; do
    install && exit 0
    sleep "$pause"
    apt-get update -qq || true
done
install

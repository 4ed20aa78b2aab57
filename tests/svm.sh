#!/usr/bin/env bash
# Hardware-style KVM where there is none: boots Debian's kernel in QEMU with
# software-emulated SVM, kvm-amd loaded, and runs a script in it as root.
#
#   svm.sh CACHE ROOT
#
# CACHE keeps the kernel between runs. ROOT becomes / of the machine; it must
# hold /script, and gets /bin/busybox. The serial console is standard output.
set -euo pipefail
cache=$1 root=$2

"$(dirname "$0")/svm_kernel.sh" "$cache"
modules=$(echo "$cache"/kernel/lib/modules/*/kernel)

mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
cp /bin/busybox "$root/bin/busybox"
for module in virt/lib/irqbypass drivers/crypto/ccp/ccp arch/x86/kvm/kvm arch/x86/kvm/kvm-amd; do
    cp "$modules/$module.ko" "$root/modules/"
done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
ip link set lo up
for module in irqbypass ccp kvm kvm-amd; do insmod "/modules/$module.ko"; done
sh /script
poweroff -f
INIT
chmod 755 "$root/init"

initramfs=$cache/initramfs.$$
trap 'rm -f "$initramfs"' EXIT
(cd "$root" && find . | cpio --quiet -o -H newc) >"$initramfs"
# One CPU: with two, QEMU 7.2 itself locks up in about one run of three when the
# host is busy (both CPUs stuck in the Debian kernel, no guest running).
timeout "${SVM_TIMEOUT_SECONDS:-300}" qemu-system-x86_64 -accel tcg,thread=single -cpu max,+svm -smp 1 -m 3G \
    -nographic -no-reboot -kernel "$cache"/kernel/boot/vmlinuz-* -initrd "$initramfs" \
    -append "console=ttyS0 quiet panic=-1" </dev/null

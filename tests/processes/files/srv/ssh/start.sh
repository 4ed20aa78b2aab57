mkdir -p /run/sshd /root /var/log
for log in /run/utmp /var/log/wtmp /var/log/lastlog; do : >"$log"; done
ssh-keygen -q -t ed25519 -N '' -f /run/host_key
exec /usr/sbin/sshd -D -e -f /dev/null -p 22 -h /run/host_key -o AuthorizedKeysFile=/keys/id.pub \
    -o StrictModes=no -o UsePAM=no -o PermitRootLogin=yes

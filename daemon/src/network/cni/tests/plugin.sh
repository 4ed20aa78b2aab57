#!/bin/sh
# A CNI plugin for tests: does what the name that it is called by says.
dir=${0%/*} name=${0##*/}
input=$(cat)
echo "$CNI_COMMAND $name" >>"$dir/calls"
printf '%s' "$input" >"$dir/$name.$CNI_COMMAND.json"
env | grep ^CNI_ | sort >"$dir/$name.$CNI_COMMAND.env"

result() {
    cat <<RESULT
{"cniVersion": "1.0.0",
 "interfaces": [{"name": "veth0"}, {"name": "eth0", "sandbox": "$CNI_NETNS"}],
 "ips": [{"address": "10.9.0.1/24", "interface": 0},
         {"address": "10.9.0.${1}/24", "gateway": "10.9.0.1", "interface": 1},
         {"address": "fd00::${1}/64", "interface": 1}],
 "dns": {"nameservers": ["10.9.0.53"]}}
RESULT
}

case $name:$CNI_COMMAND in
old-only:VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0"]}' ;;
old-only:ADD) echo '{"cniVersion": "1.0.0", "code": 1, "msg": "incompatible version"}'; exit 1 ;;
fails:ADD) echo '{"cniVersion": "1.0.0", "code": 11, "msg": "try again", "details": "the pool is empty"}'; exit 1 ;;
fails-raw:ADD) echo 'no such bridge' >&2; exit 3 ;;
fails-del:DEL) [ -e "$dir/repaired" ] || { echo '{"code": 100, "msg": "still in use"}'; exit 1; } ;;
hangs:ADD) sleep 987 & echo $! >"$dir/sleeper"; echo waiting for the agent >&2; wait ;;
nonsense:ADD) echo 'Hello <world>' ;;
silent:ADD) ;;
dies:ADD) kill -SEGV $$ ;;
floods:ADD) exec yes '{"cniVersion": "1.0.0"}' ;;
noisy:ADD) head -c 3000000 /dev/zero | tr '\0' e >&2; result 4 ;;
leaves:ADD) sleep 30 & echo $! >"$dir/sleeper"; result 5 ;;
slow:ADD) sleep 0.3; echo "END $name" >>"$dir/calls"; result 6 ;;
no-address:ADD) echo '{"cniVersion": "1.0.0"}' ;;
not-ready:STATUS) echo '{"cniVersion": "1.1.0", "code": 50, "msg": "the agent has not started"}'; exit 1 ;;
second:ADD) result 3 ;;
*:ADD) result 2 ;;
esac
exit 0

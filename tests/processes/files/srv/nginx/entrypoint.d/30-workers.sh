#!/bin/sh
# As many workers as there are CPUs.
set -e
sed -i.orig -e "s/^worker_processes.*/worker_processes $(nproc);/" /etc/nginx/nginx.conf
grep ^worker_processes /etc/nginx/nginx.conf

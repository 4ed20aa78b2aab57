# make and gcc, with all that they start; then the same sources in git.
set -e
cd /srv/build
make -j 2 >/dev/null
./kiln
make | sed 's/^make: //'
touch glaze.h
make -n | grep -c '^cc.* -c '

mkdir /tmp/repository && cd /tmp/repository
export GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z'
git init -q -b main .
git config user.name kiln
git config user.email kiln@example.org
cp /srv/build/*.[ch] /srv/build/Makefile .
git add .
git commit -q -m 'first firing'
echo '/* glazed */' >>main.c
git commit -q -a -m 'second firing'
git --no-pager log --format='%h %s'
git diff --stat HEAD~1
git gc -q
git fsck --strict
git clone -q . /tmp/clone
git -C /tmp/clone rev-parse HEAD | cut -c 1-12
printf '#!/bin/sh\necho "hook: $1" >&2\nexit 1\n' >.git/hooks/commit-msg
chmod +x .git/hooks/commit-msg
git commit -q --allow-empty -m refused 2>&1 | sed 's/: .*//' || true
git log --oneline | wc -l

<?php
echo PHP_SAPI, ' ', getmypid() > 1 ? 'child' : 'init', ' ', shell_exec('id -un');
echo shell_exec('echo "from a shell of $PPID" | sed "s/[0-9][0-9]*/php/"');

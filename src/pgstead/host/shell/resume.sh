#!/bin/sh
# made by pgstead; has a pooler of this machine resume (SIGUSR2, pgbouncer(1)), if it is still that
# process: another one may have its number by now, and a signal would end it.
#
#   resume.sh PID STARTED      STARTED: field 22 of the process's stat
set -u
pid=$1 started=$2
{ read -r line <"/proc/$pid/stat"; } 2>/dev/null || exit 0
line=${line##*) }
set -f
# shellcheck disable=SC2086
set -- $line
[ "${20}" = "$started" ] && kill -s USR2 "$pid" 2>/dev/null
exit 0

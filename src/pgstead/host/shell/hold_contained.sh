#!/bin/sh
# made by pgstead; stays beside a command that has paused the pooler, for as long as that does.
#
# hold.sh for containers, where no signal reaches the pooler: where standard input ends without the
# word `done`, the command is run that resumes it, as soon as the server is ready, or after 30 s.
#
#   hold_contained.sh POSTMASTER_PID_FILE COMMAND...
set -u
file=$1
shift
# a Ctrl-C is for the command; this only heeds the end of its input
trap '' INT TERM HUP
word=
while read -r word; do
    [ "$word" != done ] || exit 0
done
turn=0
# the eighth line says `ready` (miscadmin.h, LOCK_FILE_LINE_PM_STATUS)
while [ "$turn" -lt 300 ]; do
    case $(sed -n 8p "$file" 2>/dev/null) in
    ready*) break ;;
    esac
    turn=$((turn + 1))
    sleep 0.1
done
exec "$@"

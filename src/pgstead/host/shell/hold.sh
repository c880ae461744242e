#!/bin/sh
# made by pgstead; stays beside a command that has paused the pooler, for as long as that does.
#
# What it is for: whoever paused it may be killed, and its clients would wait for ever. Standard
# input is a pipe whose other end that process alone holds. Where it ends without the word `done`,
# the command is run that resumes the pooler, as soon as the server is ready, or after 30 s.
#
#   hold.sh POSTMASTER_PID_FILE COMMAND...
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

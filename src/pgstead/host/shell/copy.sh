#!/bin/sh
# made by pgstead; runs as the servers' user and stays for as long as a copy of a cluster does.
#
# What it is for: whoever made the copy may be killed at any moment. Standard input is a pipe whose
# other end that process alone holds, so its end is the end of this input, whatever the reason. Then
# the server goes, and all of the copy with it.
#
#   copy.sh DIRECTORY PROGRAM ARGUMENT...   starts the program when a line says `start`
set -u
umask 077
directory=$1
shift
server=
# a Ctrl-C is for the command; this only heeds the end of its input
trap '' INT TERM HUP
read -r word || word=
if [ "$word" = start ]; then
    # signals that are ignored stay so in what is started (sigaction(2)); a server sets its own
    "$@" </dev/null >>"$directory/log" 2>&1 &
    server=$!
    printf '%s\n' "$server" >"$directory/pid.new" && mv "$directory/pid.new" "$directory/pid"
    while read -r word; do :; done
    # immediate: there is nothing to be kept
    kill -s QUIT "$server" 2>/dev/null
    wait "$server"
fi
# whoever was copying may still write while this removes
turn=0
while ! rm -rf -- "$directory" 2>/dev/null || [ -e "$directory" ]; do
    turn=$((turn + 1))
    [ "$turn" -lt 50 ] || exit 1
    sleep 0.1
done

#!/bin/sh
# made by pgstead; runs in the directory of supervisord.conf and keeps supervisord running.
# It ends when a file `stop` appears, or when the configuration is gone.
#   keeper.sh PYTHON CONFIGURATION
set -u
umask 077
python=$1 conf=$2
trap '' HUP INT QUIT

exec 9>keeper.lock
if command -v flock >/dev/null 2>&1; then
    flock -n 9 || exit 0
fi

wanted() {
    [ ! -e stop ] && [ -f "$conf" ]
}

# adopted: a supervisord runs that an earlier keeper started.
adopted() {
    pid=
    { read -r pid <supervisord.pid; } 2>/dev/null || return 1
    [ -n "$pid" ] && grep -qzxF -e "$conf" "/proc/$pid/cmdline" 2>/dev/null
}

while wanted; do
    if adopted; then
        sleep 0.5
        continue
    fi
    before=$(date +%s)
    "$python" -m supervisor.supervisord --nodaemon --silent --configuration "$conf" \
        </dev/null >>../log/keeper.log 2>&1 9>&-
    wanted || break
    # Killed: back at once. Unable to start: once a second is enough.
    if [ $(($(date +%s) - before)) -ge 2 ]; then sleep 0.1; else sleep 1; fi
done

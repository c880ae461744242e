#!/bin/sh
# made by pgstead; keeps supervisord running, in the directory of its configuration.
# It ends when a file `stop` appears, or when the configuration is gone.
#   keeper.sh PYTHON CONFIGURATION
set -u
umask 077
python=$1 conf=$2
cd "${0%/*}" || exit 1

# Held by this shell alone: a child that inherited it would keep the next keeper out.
exec 9>keeper.lock
if command -v flock >/dev/null 2>&1; then
    flock -w 2 9 || exit 0
fi

wanted() {
    [ ! -e stop ] && [ -f "$conf" ]
}

# adopted: a supervisord runs that an earlier keeper started.
adopted() {
    pid=
    { read -r pid <supervisord.pid; } 2>/dev/null || return 1
    [ -n "$pid" ] && grep -qzxF -e "$conf" "/proc/$pid/cmdline" 2>/dev/null 9>&-
}

while wanted; do
    if adopted; then
        sleep 0.5 9>&-
        continue
    fi
    before=$(date +%s)
    "$python" -m supervisor.supervisord --nodaemon --silent --configuration "$conf" \
        </dev/null >>../log/keeper.log 2>&1 9>&-
    wanted || break
    # Killed: back at once. Unable to start: once a second is enough.
    if [ $(($(date +%s) - before)) -ge 2 ]; then sleep 0.1 9>&-; else sleep 1 9>&-; fi
done

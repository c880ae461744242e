# shellcheck shell=sh disable=SC2154,SC3013,SC2013
# made by pgstead; sourced by a program's start script, as the program's own user.
#
# What it is for: when the supervisor itself was killed, or a postmaster with busy backends,
# processes are left that hold the data directory or the port. A new program must neither give
# up because of them nor start beside them. So before it becomes the program, this script ends
# what is left of the one before.
#
# The start script sets: name kind digest stop_signal record log directory data config passfile
set -u
umask 077
# Standard input stays the pipe that the supervisor made. Were its reading end closed, poll() would
# tell of that for ever as soon as the supervisor takes the number of the other end for another one,
# and it would spin (github.com/Supervisor/supervisor/issues/807; 4.3.0 mends a part of it).
exec >>"$log" 2>&1

say() {
    printf '%s guard of %s: %s\n' "$(date -u '+%Y-%m-%dT%H:%M:%SZ')" "$name" "$*"
}

# born PID: sets started to the start time of a living process (field 22 of its stat; the name
# before it may hold anything, so count from the last parenthesis).
born() {
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    line=${line##*) }
    set -f
    # shellcheck disable=SC2086
    set -- $line
    set +f
    case $1 in Z | X | x) return 1 ;; esac
    started=${20}
}

# members: sets found to the pids of all servers that work in the data directory.
members() {
    found=
    for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        comm=
        { read -r comm <"$entry/comm"; } 2>/dev/null || continue
        [ "$comm" = postgres ] || continue
        [ "$entry/cwd" -ef "$data" ] || continue
        found="$found $pid"
    done
    [ -n "$found" ]
}

# One turn in a tenth of a second: fast shutdown first, immediate after 60 s, the end after 70 s.
settle_postgres() {
    turn=0
    while members; do
        master=
        { read -r master <"$data/postmaster.pid"; } 2>/dev/null
        case " $found " in
        *" ${master:-none} "*)
            case $turn in
            0)
                say "postmaster $master runs without a supervisor: fast shutdown"
                kill -s INT "$master" 2>/dev/null
                ;;
            600) kill -s QUIT "$master" 2>/dev/null ;;
            700) kill -s KILL "$master" 2>/dev/null ;;
            esac
            ;;
        *" ${master#-} "*)
            # a minus marks a server in single-user mode: somebody repairs something
            [ "$turn" -ne 0 ] || say "waiting for the single-user server ${master#-}"
            ;;
        *)
            # the postmaster is dead; its children hold the shared memory until they look up
            [ "$turn" -ne 0 ] || say "ending what a dead postmaster left:$found"
            # shellcheck disable=SC2086
            kill -s KILL $found 2>/dev/null
            ;;
        esac
        turn=$((turn + 1))
        sleep 0.1
    done
}

# settle_recorded: ends the instance that this script's predecessor became.
settle_recorded() {
    old="" old_started=""
    { read -r old old_started _ <"$record"; } 2>/dev/null || return 0
    [ "${old:-$$}" != "$$" ] || return 0
    turn=0
    while born "$old" && [ "$started" = "$old_started" ]; do
        case $turn in
        0)
            say "process $old runs without a supervisor: ending it"
            kill -s "$stop_signal" "$old" 2>/dev/null
            ;;
        50) kill -s KILL "$old" 2>/dev/null ;;
        esac
        turn=$((turn + 1))
        sleep 0.1
    done
}

# settle_config: ends any other PgBouncer on the same configuration file, e.g. one whose record
# was lost. Editors and pagers on that file are left alone.
settle_config() {
    turn=0
    while :; do
        found=
        for file in $(grep -lzxF -e "$config" /proc/[0-9]*/cmdline 2>/dev/null); do
            pid=${file#/proc/}
            pid=${pid%/cmdline}
            [ "$pid" != "$$" ] || continue
            grep -qzxE '(.*/)?pgbouncer[^/]*' "$file" 2>/dev/null || continue
            born "$pid" || continue
            found="$found $pid"
        done
        [ -n "$found" ] || return 0
        [ "$turn" -ne 0 ] || say "ending PgBouncer without a supervisor:$found"
        # shellcheck disable=SC2086
        case $turn in
        0) kill -s "$stop_signal" $found 2>/dev/null ;;
        50) kill -s KILL $found 2>/dev/null ;;
        esac
        turn=$((turn + 1))
        sleep 0.1
    done
}

# settle_receiver: ends the pg_receivewal that a killed Barman left: it holds the replication slot.
settle_receiver() {
    turn=0
    while :; do
        found=
        for file in $(grep -lzF -e "passfile=$passfile" /proc/[0-9]*/cmdline 2>/dev/null); do
            pid=${file#/proc/}
            pid=${pid%/cmdline}
            comm=
            { read -r comm <"/proc/$pid/comm"; } 2>/dev/null || continue
            [ "$comm" = pg_receivewal ] || continue
            born "$pid" || continue
            found="$found $pid"
        done
        [ -n "$found" ] || return 0
        [ "$turn" -ne 0 ] || say "ending pg_receivewal without Barman:$found"
        # shellcheck disable=SC2086
        case $turn in
        0) kill -s INT $found 2>/dev/null ;;
        50) kill -s KILL $found 2>/dev/null ;;
        esac
        turn=$((turn + 1))
        sleep 0.1
    done
}

# await_server: what receives from the server can do nothing before that is ready, and would take
# the processors from it while it starts. After 30 s it may say itself what is wrong.
await_server() {
    turn=0
    while [ "$turn" -lt 300 ] && [ -x "$data" ]; do
        # the eighth line says `ready` (miscadmin.h, LOCK_FILE_LINE_PM_STATUS)
        line=
        { for _ in 1 2 3 4 5 6 7 8; do read -r line || break; done; } 2>/dev/null \
            <"$data/postmaster.pid"
        case $line in ready*) return 0 ;; esac
        turn=$((turn + 1))
        sleep 0.1
    done
}

settle() {
    case $kind in
    postgres) settle_postgres ;;
    pgbouncer) settle_recorded && settle_config ;;
    archiver) settle_recorded && await_server && settle_receiver ;;
    *) settle_recorded ;;
    esac
}

# launch COMMAND...: becomes the program; pid and start time stay, so they are its record.
# The signal at the supervisor's death is set after the change of user, which would clear it
# (PR_SET_PDEATHSIG, prctl(2)).
launch() {
    cd "$directory" || exit 1
    born $$ || exit 1
    printf '%s %s %s\n' "$$" "$started" "$digest" >"$record.new" && mv -f "$record.new" "$record"
    if command -v setpriv >/dev/null 2>&1; then
        exec setpriv --pdeathsig "$stop_signal" -- "$@"
    fi
    exec "$@"
}

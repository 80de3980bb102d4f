# What the clusters of this folder share; sourced, not run. A cluster is a hub, which is this machine itself, and
# nodes: each with its own network, host name, mounts and /dev/shm, joined by a bridge.
#
# Everything that lives (sockets, spool, namespaces) is in one tmpfs at $STATE/run and goes with `stop`; the logs,
# in $STATE/log, stay until the next start.
#
# The script that sources this names its cluster first:
#   SYSTEM      its own name; settings are HPC_SPAWNER_<SYSTEM>_STATE, _NET and _PATIENCE
#   FREE_NET    where _NET is not set: the first three numbers of a /24
#   HUB NODES   host names; those of two clusters differ, so that both can be up at once
#   MASTER      the daemon that only one cluster of this kind can have in the machine's network
#   DAEMONS     names of processes that are the cluster's where their command line or environment has "$STATE/run/"
#   PROGRAMS    lines "program package", PACKAGES, SYSTEM_USERS (that the packages make)
# and has the functions is_up, make_cluster, remove_outside (what `stop` removes outside of $STATE), more_problems (what
# `check` says besides) and status. After sourcing it may set SETTINGS and USER_SETTINGS: NAME=VALUE words for daemons
# and the administrator's commands, and for users' commands. Its last line is: main "$@"
# shellcheck shell=bash disable=SC2153,SC2154

set -euo pipefail
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
# What lives on after `start` must not hold a caller's lock or pipe. 255 is this script itself.
for fd in /proc/"$BASHPID"/fd/*; do
    fd=${fd##*/}
    ((fd <= 2 || fd == 255)) || exec {fd}>&-
done

setting() { # NAME DEFAULT
    local variable=HPC_SPAWNER_${SYSTEM^^}_$1
    echo "${!variable:-$2}"
}

STATE=$(setting STATE "/var/tmp/hpc-spawner-$SYSTEM")
NET=$(setting NET "$FREE_NET")
PATIENCE=$(setting PATIENCE 90)   # seconds any one daemon may take to get ready, on a busy machine
RUN=$STATE/run LOG=$STATE/log NS=$STATE/run/ns ETC=$STATE/run/etc
# What is outside $STATE carries its name, so that two folders never remove each other's things.
ID=$(printf '%08x' "$(cksum <<<"$STATE" | cut -d' ' -f1)")
LINK=hpcs-$ID                     # this machine's end of the cable to the bridge
MARK="# hpc-spawner-$SYSTEM $ID"  # ends each of our lines in /etc/hosts
HUB_IP=$NET.1
SETTINGS=() USER_SETTINGS=()

usage() {
    cat <<END
usage: $SYSTEM start                             make the cluster (does nothing when it is up already)
       $SYSTEM stop                              remove it, with every process in it
       $SYSTEM status                            what runs; exits 0 when the cluster is up, 3 when not
       $SYSTEM as USER [--node ${NODES[0]}] -- COMMAND…   run as USER in their home, on the hub or on a node
       $SYSTEM check                             say what this machine lacks; exits 1 when something
       $SYSTEM packages                          the Debian packages needed
settings: HPC_SPAWNER_${SYSTEM^^}_STATE ($STATE), HPC_SPAWNER_${SYSTEM^^}_NET ($NET),
          HPC_SPAWNER_${SYSTEM^^}_PATIENCE ($PATIENCE)
END
}

say() { printf '%s: %s\n' "$SYSTEM" "$*"; }
die() { say "$@" >&2; exit 1; }

address() { echo "$NET.1${1//[^0-9]/}"; }   # node 1 is .11

# --- running things in the right place ---------------------------------------------------------------

# nsenter, not `ip netns exec`: that one remounts /sys, and slurmd then finds no cgroup file system.
enter() { # hub|NODE: sets the words to put before a command
    if [[ $1 == hub ]]; then
        ENTER=(nsenter --uts="$NS/hub.uts" --)
    else
        ENTER=(nsenter --net="$NS/$1.net" --uts="$NS/$1.uts" --mount="$NS/$1.mnt" --)
    fi
}

on() { # hub|NODE COMMAND…
    local ENTER
    enter "$1"
    "${ENTER[@]}" "${@:2}"
}

client() { on hub env "${SETTINGS[@]}" "$@"; }

# hub|NODE LOGNAME COMMAND…: with a clean environment, and without our lock (9) and the caller's pipes (8). For
# a COMMAND that goes into the background by itself.
daemon() {
    (cd / && exec 8>&- 9>&- && on "$1" env -i PATH="$PATH" LANG=C.UTF-8 "${SETTINGS[@]}" \
        "${@:3}" </dev/null >>"$LOG/$2.log" 2>&1)
}

# wait_for WHAT COMMAND…: until COMMAND succeeds; gives up after $PATIENCE seconds.
wait_for() {
    local what=$1 end=$((SECONDS + PATIENCE))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { say "$what: not within $PATIENCE s" >&2; return 1; }
        sleep 0.05
    done
}

# --- what is ours -----------------------------------------------------------------------------------

# inodes of our namespaces; nothing when they are not there (a reboot leaves plain files, or no file). Not *.mnt:
# those are links to a process number, which after an unclean end may be anybody's.
our_namespaces() {
    local file
    for file in "$NS"/*.net "$NS"/*.uts; do
        [[ $(stat -f -c %T "$file" 2>/dev/null) == nsfs ]] && stat -L -c %i "$file"
    done
    return 0
}

# "PID command" of every process inside our namespaces: daemons, job shepherds and whatever jobs left. By
# namespace and not by name, so that another batch system on this machine is not hurt. Should someone have removed
# $STATE/run by hand, daemons that name a file in it are still found by that.
our_processes() {
    local inodes
    inodes=$(our_namespaces | tr '\n' ' ')
    {
        stat -L -c '%i %n' /proc/[0-9]*/ns/{net,uts} 2>/dev/null |
            awk -v inodes="$inodes" 'BEGIN { n = split(inodes, a); for (i = 1; i <= n; i++) ours[a[i]] = 1 }
                                     $1 in ours { split($2, part, "/"); print part[3] }'
        grep -laF "$RUN/" /proc/[0-9]*/{cmdline,environ} 2>/dev/null | cut -d/ -f3 | while read -r pid; do
            [[ " $DAEMONS " != *" $(cat "/proc/$pid/comm" 2>/dev/null) "* ]] || echo "$pid"
        done
    } | sort -un | while read -r pid; do
        [[ $pid == "$$" || $pid == "$BASHPID" ]] || echo "$pid $(cat "/proc/$pid/comm" 2>/dev/null)"
    done
    return 0
}

# is NAMESPACE-FILE PROCESS-NAME running
runs_in() {
    local file=$1 name=$2 inode pid
    [[ -e $file ]] || return 1
    inode=$(stat -L -c %i "$file")
    for pid in $(pgrep -x "$name"); do
        [[ $(stat -L -c %i "/proc/$pid/ns/${file##*.}" 2>/dev/null) == "$inode" ]] && return 0
    done
    return 1
}

# A $MASTER of somebody else in the machine's own network (one inside a container does no harm).
foreign_master() {
    local pid ours
    ours=$(our_processes | cut -d' ' -f1)
    for pid in $(pgrep -x "$MASTER"); do
        [[ $(readlink "/proc/$pid/ns/net") == "$(readlink /proc/self/ns/net)" ]] || continue
        grep -qx "$pid" <<<"$ours" || echo "$pid"
    done
}

# --- check ------------------------------------------------------------------------------------------

problems() {
    local program package pid user
    ((EUID == 0)) || { echo "this must run as root (namespaces, users, other people's jobs)"; return; }
    while read -r program package; do
        command -v "$program" >/dev/null || echo "no $program: apt-get install $package"
    done <<END
$PROGRAMS
ip iproute2
pgrep procps
nsenter util-linux
unshare util-linux
setpriv util-linux
flock util-linux
useradd passwd
END
    for user in $SYSTEM_USERS; do
        getent passwd "$user" >/dev/null || echo "no system user $user: its Debian package makes it"
    done
    if ! unshare --net --uts --mount sh -c 'hostname test && mount -t tmpfs none /mnt' 2>/dev/null; then
        echo "cannot make namespaces or mounts: a container needs CAP_SYS_ADMIN (docker run --privileged)"
    elif ! unshare --net sh -c 'ip link add name veth0 type veth peer name veth1 && ip link add name br0 type bridge' 2>/dev/null; then
        echo "cannot make veth pairs or bridges: the kernel lacks these modules, or CAP_NET_ADMIN is missing"
    fi
    for pid in $(foreign_master); do
        echo "another $MASTER runs here (process $pid), and it is not ours: not touching this machine"
    done
    if ip -4 -o address show 2>/dev/null | grep -v " $LINK" | grep -qF " $NET."; then
        echo "this machine uses $NET.0/24 already: choose another with HPC_SPAWNER_${SYSTEM^^}_NET"
    fi
    more_problems
}

check() {
    local found
    found=$(problems)
    [[ -z $found ]] && return 0
    printf '%s\n' "$found" | sed "s/^/$SYSTEM: /" >&2
    return 1
}

# --- stop -------------------------------------------------------------------------------------------

none_left() {
    local pids
    pids=$(our_processes | cut -d' ' -f1)
    [[ -z $pids ]] && return 0 # a bare return, inside a trap, gives the status from before the trap
    # nothing here outlives the cluster, so nothing needs time to save its state
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    return 1
}

# our lines in /etc/hosts away, and those of standard input, if any, at its start. In place: a container's /etc/hosts
# is a mount and cannot be replaced. The end of the file stays as it was, even without a last newline.
write_hosts() {
    local lines without
    lines=$(sed "s/\$/ $MARK/")
    without=$(sed "/$MARK\$/d" /etc/hosts; echo .)
    printf '%s' "${lines:+$lines$'\n'}${without%.}" >/etc/hosts
}

hosts() { # the lock is for the other cluster, which may start or stop at this moment
    (flock 7; write_hosts) 7</etc/hosts
}

# Also right after an unclean end, or when there is nothing to remove.
remove_cluster() {
    local failed=0
    wait_for "processes of the cluster: $(our_processes | tr '\n' ' ')" none_left || failed=1
    if [[ -e /sys/class/net/$LINK ]]; then ip link delete "$LINK" || failed=1; fi
    while mountpoint -q "$RUN" 2>/dev/null; do
        umount -R "$RUN" 2>/dev/null || umount -R -l "$RUN" || { failed=1; break; }
    done
    rmdir "$RUN" 2>/dev/null || true
    if grep -qF "$MARK" /etc/hosts; then hosts </dev/null; fi
    remove_outside
    return $failed
}

# --- start ------------------------------------------------------------------------------------------

make_users() {
    local user
    for user in alice bob; do # useradd gives no password: locked
        id $user >/dev/null 2>&1 || useradd --create-home --shell /bin/bash $user
    done
    id hubuser >/dev/null 2>&1 ||
        useradd --system --user-group --create-home --home-dir /home/hubuser --shell /usr/sbin/nologin hubuser
}

make_network() {
    local node file holder
    mkdir "$NS"
    # The bridge is in a network namespace of its own. On the machine itself a Docker engine would cut the nodes
    # off from each other: it sets the FORWARD policy to DROP, and with br_netfilter bridged frames pass there
    # (bridge-nf-call-iptables=1). A fresh namespace has no rules, so no setting of the machine needs changing.
    for file in hub.uts switch.net; do : >"$NS/$file"; done
    unshare --uts="$NS/hub.uts" hostname "$HUB"
    unshare --net="$NS/switch.net" \
        sh -c 'ip link add name br0 type bridge stp_state 0 forward_delay 0 && ip link set dev br0 up'
    ip link add name "$LINK" type veth peer name hub netns "$NS/switch.net"
    ip address add "$HUB_IP/24" dev "$LINK"
    ip link set dev "$LINK" up
    nsenter --net="$NS/switch.net" ip link set dev hub master br0 up
    {
        echo "$HUB_IP $HUB"
        for node in "${NODES[@]}"; do echo "$(address "$node") $node"; done
    } | hosts

    for node in "${NODES[@]}"; do
        for file in net uts; do : >"$NS/$node.$file"; done
        # /home and /tmp stay the machine's own, as a shared file system would be. Mounts made on the machine later
        # show up in the nodes too (slave).
        # A sleeping process keeps the mount namespace. Binding it to a file (unshare --mount=FILE) is refused every
        # second time inside a container from Linux 6.18 on: "Invalid argument".
        # shellcheck disable=SC2016
        holder=$(unshare --net="$NS/$node.net" --uts="$NS/$node.uts" --mount --propagation slave sh -ec '
            hostname "$1"
            mount -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
            cd /
            setsid sleep infinity </dev/null >/dev/null 2>&1 8>&- 9>&- &
            echo $!' sh "$node")
        ln -s "/proc/$holder/ns/mnt" "$NS/$node.mnt"
        nsenter --net="$NS/switch.net" ip link add name "$node" type veth peer name eth0 netns "$NS/$node.net"
        nsenter --net="$NS/switch.net" ip link set dev "$node" master br0 up
        nsenter --net="$NS/$node.net" ip -batch - <<END
link set lo up
address add $(address "$node")/24 dev eth0
link set eth0 up
route add default via $HUB_IP
END
    done
}

can_connect() { timeout 3 bash -c ": </dev/tcp/$1/$2" 2>/dev/null; }
export -f can_connect

# MASTER-PORT NODE-PORT: says in words which way is blocked, where the batch system would only time out.
reachability() {
    local ok=0 first=${NODES[0]} second=${NODES[1]}
    on "$first" bash -c "can_connect $HUB_IP $1" ||
        { say "$first cannot reach $MASTER at $HUB_IP:$1: does a firewall drop INPUT from $LINK?"; ok=1; }
    can_connect "$(address "$first")" "$2" ||
        { say "the hub cannot reach port $2 of $first: a firewall on $LINK?"; ok=1; }
    on "$first" bash -c "can_connect $(address "$second") $2" ||
        { say "$first cannot reach port $2 of $second"; ok=1; }
    return $ok
}

show_logs() {
    local file
    for file in "$LOG"/*.log; do
        [[ -s $file ]] || continue
        printf '\n== the end of %s\n' "$file"
        tail -n 12 "$file"
    done
}

start_failed() {
    trap - EXIT INT TERM
    exec >&8 2>&8 # a signal may have come where the output is redirected
    show_logs
    printf '\n'
    say "the start failed; removing what it made"
    remove_cluster || true
    exit 1
}

start() {
    local version began=$EPOCHREALTIME
    # a changed script or setting means a new cluster
    version=$( (cat "$0" "${BASH_SOURCE[0]}"; echo "$NET ${CPUS:-}") | cksum)
    if is_up && [[ $(cat "$RUN/version" 2>/dev/null) == "$version" ]]; then
        say "already up"
        return
    fi
    [[ -z $(foreign_master) ]] || check # before anything is touched
    remove_cluster || die "what a former cluster left cannot be removed"
    check

    exec 8>&2
    trap start_failed EXIT
    trap 'exit 1' INT TERM
    rm -rf "$LOG"
    mkdir -p "$LOG" "$RUN"
    mount -t tmpfs -o mode=0755,nodev "hpc-spawner-$SYSTEM" "$RUN"
    mount --make-private "$RUN"
    mkdir "$ETC"
    make_users
    make_network
    make_cluster
    echo "$version" >"$RUN/version"
    trap - EXIT INT TERM
    say "up after $(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }') s; logs in $LOG"
}

# --- the other commands -------------------------------------------------------------------------------

as() {
    local user=${1:-} place=hub ENTER
    shift || true
    while (($#)); do
        case $1 in
            --node) place=${2:-}; shift 2 || die "--node wants a name" ;;
            --) shift; break ;;
            *) break ;;
        esac
    done
    [[ -n $user && $# -gt 0 ]] || { usage >&2; exit 2; }
    ((EUID == 0)) || die "this must run as root"
    id "$user" >/dev/null 2>&1 || die "no user $user"
    [[ $(stat -f -c %T "$NS/hub.uts" 2>/dev/null) == nsfs ]] || die "the cluster is not up: $SYSTEM start"
    [[ $place == hub || -e $NS/$place.net && -e $NS/$place.mnt ]] || die "no node $place: ${NODES[*]}"
    enter "$place"
    # shellcheck disable=SC2016
    exec "${ENTER[@]}" setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --reset-env -- \
        env -u LC_ALL LANG=C.UTF-8 "${USER_SETTINGS[@]}" sh -c 'cd && exec "$@"' sh "$@"
}

# One start or stop at a time. The folder may be in a place where everyone can write: it must be ours.
lock() {
    ((EUID == 0)) || die "this must run as root"
    [[ $STATE == /* && $STATE != *[[:space:]]* ]] ||
        die "HPC_SPAWNER_${SYSTEM^^}_STATE must be an absolute path without spaces"
    mkdir -p "$STATE"
    [[ ! -L $STATE && -O $STATE ]] || die "$STATE is not a folder of root's"
    exec 9>"$STATE/lock"
    flock -w 120 9 || die "another start or stop has been at work for two minutes"
}

main() {
    local command=${1:-help}
    shift || true
    case $command in
        start) lock; start ;;
        stop) lock; remove_cluster; say "stopped" ;;
        status) ((EUID == 0)) || die "this must run as root"; status ;;
        as) as "$@" ;;
        check) check; say "this machine has what the cluster needs" ;;
        packages) echo "${PACKAGES[*]}" ;;
        help | -h | --help) usage ;;
        *) usage >&2; exit 2 ;;
    esac
}

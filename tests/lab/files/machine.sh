#!/bin/sh
# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The part of the lab that is mounts, network namespaces and systemd-nspawn. Everything it makes lies under
# LAB_DIR or bears the prefix "xfl", and removing it twice is no error.
#
#   machine.sh lan-up | lan-down
#   machine.sh layer DIRECTORY BASE PACKAGE...      one more set of packages on top of a base tree
#   machine.sh create NAME ADDRESS LOWER            a blank host; LOWER is an overlayfs lowerdir list
#   machine.sh start NAME | stop NAME | remove NAME... (all at once)
#   machine.sh list
set -eu
: "${LAB_DIR:?LAB_DIR names the directory of the lab}"
: "${LAB_SUBNET:?LAB_SUBNET is the first three numbers of the addresses of the lab}"
: "${LAB_RESOLVER:?LAB_RESOLVER is the address of the name server of the lab}"

say() { echo "machine.sh: $*" >&2; }

namespace_exists() { ip netns list | cut -d' ' -f1 | grep -qx "$1"; }

# The bridge has a namespace of its own, so that packet filters of this machine never see what passes between the
# hosts, and so that one deletion takes everything. The control node hangs on it by one cable; nothing is routed.
lan_up() {
    namespace_exists xfl-lan && return 0
    ip netns add xfl-lan
    ip -n xfl-lan link set lo up
    ip -n xfl-lan link add lan type bridge forward_delay 0
    ip -n xfl-lan link set lan up
    ip link add xfl0 type veth peer name control netns xfl-lan
    ip -n xfl-lan link set control master lan up
    ip addr add "$LAB_SUBNET.1/24" dev xfl0
    ip link set xfl0 up
}

lan_down() {
    ! ip link show xfl0 >/dev/null 2>&1 || ip link delete xfl0
    ! namespace_exists xfl-lan || ip netns delete xfl-lan
}

mount_tree() { # LOWER UPPER WORK TARGET
    mkdir -p "$2" "$3" "$4"
    mount -t overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" overlay "$4"
}

unmount_tree() {
    while mountpoint -q "$1"; do
        umount "$1" || { sleep 0.2; umount -l "$1"; }
    done
}

# Packages are installed while the tree still shares this machine's network: the finished hosts have no way out.
layer() {
    directory=$1 base=$2
    shift 2
    building=$directory.building
    unmount_tree "$building/root"
    rm -rf "$building"
    mount_tree "$base" "$building/upper" "$building/work" "$building/root"
    trap 'unmount_tree "$building/root"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$building/root/usr/sbin/policy-rc.d"
    chmod 755 "$building/root/usr/sbin/policy-rc.d"
    systemd-nspawn --quiet --directory="$building/root" --machine="xfl-layer-$$" --register=no --keep-unit --pipe \
        --timezone=off --setenv=DEBIAN_FRONTEND=noninteractive \
        /bin/sh -euc 'apt-get -q update; apt-get -q -y install --no-install-recommends "$@"; apt-get clean' layer "$@"
    rm "$building/root/usr/sbin/policy-rc.d"
    unmount_tree "$building/root"
    trap - EXIT
    mv "$building/upper" "$directory"
    rm -rf "$building"
}

create() {
    name=$1 address=$2 lower=$3
    host=$LAB_DIR/hosts/$name root=$LAB_DIR/hosts/$name/root
    [ ! -e "$host" ] || { say "$name is there already"; exit 1; }
    mkdir -p "$host"
    mount_tree "$lower" "$host/upper" "$host/work" "$root"
    echo "$name" >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s.lab.example %s\n' "$name" "$name" >"$root/etc/hosts"
    printf 'nameserver %s\nsearch lab.example\n' "$LAB_RESOLVER" >"$root/etc/resolv.conf"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    rm -f "$root"/etc/ssh/ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
    install -d -m 700 -o 1000 -g 1000 "$root/home/admin/.ssh"
    install -m 600 -o 1000 -g 1000 "$LAB_DIR/ssh/id_ed25519.pub" "$root/home/admin/.ssh/authorized_keys"
    mkdir -p "$LAB_DIR/ssh/known_hosts.d"
    echo "$address $(cut -d' ' -f1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")" >"$LAB_DIR/ssh/known_hosts.d/$name"

    ip netns add "xfl-$name"
    ip link add "xfl-port" netns "xfl-$name" type veth peer name "$name" netns xfl-lan
    ip -n "xfl-$name" link set xfl-port name host0
    ip -n "xfl-$name" addr add "$address/24" dev host0
    ip -n "xfl-$name" link set lo up
    ip -n "xfl-$name" link set host0 up
    ip -n xfl-lan link set "$name" master lan up
}

# The network belongs to the namespace, not to the machine, so it outlives a reboot, which nspawn tells by status 133.
start() {
    host=$LAB_DIR/hosts/$1
    setsid --fork /bin/sh -c '
        echo $$ >"$2/pid"
        status=133
        while [ "$status" -eq 133 ]; do
            status=0
            systemd-nspawn --quiet --directory="$2/root" --machine="xfl-$1" --boot --register=no --keep-unit \
                --network-namespace-path="/run/netns/xfl-$1" --resolv-conf=off --timezone=off --link-journal=no || status=$?
        done
        rm -f "$2/pid"
    ' machine "$1" "$host" </dev/null >>"$host/console.log" 2>&1
}

# The whole process group is ours: the loop, and the nspawn in it, which shuts the machine down in good order.
# (dash wants -s and --; with anything else it takes the group for an option.)
stop() {
    pid_file=$LAB_DIR/hosts/$1/pid
    [ -e "$pid_file" ] || return 0
    group=$(cat "$pid_file")
    kill -s TERM -- "-$group" 2>/dev/null || true
    for _ in $(seq 150); do
        kill -s 0 -- "-$group" 2>/dev/null || break
        sleep 0.1
    done
    if kill -s KILL -- "-$group" 2>/dev/null; then
        say "$1 did not shut down in time"
    fi
    rm -f "$pid_file"
}

remove() {
    for name in "$@"; do
        stop "$name" &
    done
    wait
    for name in "$@"; do
        take_away "$name"
    done
}

take_away() {
    unmount_tree "$LAB_DIR/hosts/$1/root"
    ! namespace_exists "xfl-$1" || ip netns delete "xfl-$1"
    rm -rf "$LAB_DIR/hosts/$1" "$LAB_DIR/ssh/known_hosts.d/$1"
}

list() { [ ! -d "$LAB_DIR/hosts" ] || ls "$LAB_DIR/hosts"; }

command=$1
shift
case $command in
    lan-up) lan_up ;;
    lan-down) lan_down ;;
    layer | create | start | stop | remove | list) "$command" "$@" ;;
    *) say "unknown command $command"; exit 2 ;;
esac

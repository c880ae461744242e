#!/bin/bash
# boot.sh DIRECTORY outside PLACE...: boots this machine's own systemd in namespaces of its own, on
# a copy of the root that is written nowhere (overlay on tmpfs). Its network is loopback. Needs root.
# PLACES are shared as they are, to be read: below an overlay nothing may change meanwhile.
set -euo pipefail
place=$1
stage=$2

if [[ $stage == outside ]]; then
  # A control group of its own: systemd takes the one that it finds itself in for the root.
  tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  group=$tree/$(basename "$place")
  mkdir "$group"
  echo $$ >"$group/cgroup.procs"
  echo "$group" >"$place/group"
  exec unshare --mount --pid --fork --cgroup --uts --ipc --net \
    --kill-child=SIGKILL --propagation private "$0" "$place" inside "${@:3}"
fi

mount -t tmpfs tmpfs "$place/layers"
mkdir "$place/layers/upper" "$place/layers/work"
mount -t overlay overlay "$place/root" \
  -o "lowerdir=/,upperdir=$place/layers/upper,workdir=$place/layers/work"
cd "$place/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir -p dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for extra in "${@:3}"; do
  mkdir -p ".$extra"
  mount --bind "$extra" ".$extra"
  mount -o remount,bind,ro ".$extra"
done
for unit in console-getty.service getty.target systemd-udevd.service systemd-udev-trigger.service \
  systemd-networkd.service systemd-resolved.service ssh.service cron.service podman.service \
  systemd-logind.service remote-fs.target; do
  ln -sf /dev/null "etc/systemd/system/$unit"
done
rm -f etc/machine-id
systemd-id128 new >etc/machine-id 2>/dev/null || echo 0123456789abcdef0123456789abcdef >etc/machine-id
mkdir -p .old
pivot_root . .old
umount -l /.old
exec env -i container=lab LC_ALL=C.UTF-8 /lib/systemd/systemd --system \
  --log-target=console --log-level=notice --unit=multi-user.target </dev/null

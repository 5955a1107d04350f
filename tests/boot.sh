#!/usr/bin/env bash
# Boots systemd as PID 1 of new namespaces (mounts, processes, network, host name, IPC, cgroups), over a throw-away
# overlay of this machine's own root. Needs root, util-linux and Debian's packages systemd, systemd-sysv and dbus.
#
#   tests/boot.sh [HOST-DIRECTORY INSIDE-DIRECTORY]...
#
# Prints the PID of that systemd once all is up; `nsenter --target PID --all` leads into it. At the end of standard
# input, or at a signal, all of it ends. Nothing of the machine changes: all mounts are in namespaces that end with their
# processes, and all processes end with this one, also when it is killed. Only then an empty directory and an empty
# cgroup are left.
#
# Services that the machine has enabled are not started, its generators of units do not run, and there is no network but
# the loopback device. `/run`, `/tmp` and `/dev` are new. What changes in the machine's root meanwhile may or may not
# show: a directory that must show comes as an argument.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# No machine needs longer, whatever else it does.
boot_seconds_max=240

# All of this, for a shell in other namespaces, wherever it was read from.
this_script() {
  echo 'set -euo pipefail'
  declare -p PATH boot_seconds_max
  declare -f
}

# First process of the new PID namespace: makes the root and becomes systemd.
# become DIR [HOST-DIRECTORY INSIDE-DIRECTORY]...
become() {
  local dir=$1 root=$1/root pid name
  shift
  # This /proc is still the machine's, and so is the PID in it.
  read -r pid _ </proc/self/stat

  # What the machine has enabled or generates at boot is not ours to start.
  rm -rf "$root/etc/systemd/system" && mkdir -p "$root"/etc/systemd/{system,system-generators}
  for name in "$root"{/usr,/usr/local,}/lib/systemd/system-generators/*; do
    ln -sfn /dev/null "$root/etc/systemd/system-generators/${name##*/}"
  done
  # These take instances of inotify, of which root has 128 on many machines: with all tests at once they would run out.
  for name in systemd-ask-password-{console,wall}.path; do ln -s /dev/null "$root/etc/systemd/system/$name"; done
  # A machine of its own, not at its first boot, with nothing to bring up to date.
  rm -f "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/fstab"
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  echo booted >"$root/etc/hostname"
  : >"$root/etc/fstab"
  touch -r /usr "$root/etc/.updated" "$root/var/.updated"

  mount -t proc proc "$root/proc"
  for name in "$root"/proc/{sys,sysrq-trigger}; do [ ! -e "$name" ] || mount --bind -o ro "$name" "$name"; done
  mount -t sysfs sysfs "$root/sys" && mount -o remount,bind,ro "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
  mkdir "$root"/dev/{pts,shm,mqueue}
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  for name in null zero full random urandom tty; do
    : >"$root/dev/$name" && mount --bind "/dev/$name" "$root/dev/$name"
  done
  : >"$root/dev/console" && mount --bind /dev/null "$root/dev/console"
  # What systemd has to tell before there is a journal.
  : >"$root/dev/kmsg" && mount --bind "$dir/messages" "$root/dev/kmsg"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$root/dev/${name#*:}"; done

  while [ "$#" -ge 2 ]; do
    mkdir -p "$root$2" && mount --bind "$1" "$root$2"
    shift 2
  done

  echo "$pid" >"$dir/leader"
  mkdir -p "$root/.machine" && cd "$root" && pivot_root . .machine
  # Without the abilities to set the clock, load modules, or reach hardware and the kernel's log.
  exec setpriv --inh-caps=-all --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog \
    env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c '
      cd / && umount -l /.machine && rmdir /.machine
      exec /lib/systemd/systemd --show-status=no'
}

# inside COMMAND...: runs it there.
inside() {
  nsenter --target "$leader" --mount --pid --net --uts --ipc --cgroup -- "$@"
}

# Waits until all is up.
wait_until_up() {
  local state=''
  until [ "$state" = running ]; do
    [ -n "$leader" ] || [ ! -s "$dir/leader" ] || read -r leader <"$dir/leader"
    if [ -n "$leader" ] && [ "$(readlink "/proc/$leader/exe" || true)" = /usr/lib/systemd/systemd ]; then
      state=$(inside systemctl is-system-running 2>/dev/null) || true
    fi
    if ! kill -0 "$up" 2>/dev/null; then
      up='' state='ended before it was up'
    elif [ "$SECONDS" -gt "$boot_seconds_max" ]; then
      state="not up after $boot_seconds_max s: ${state:-no systemd}"
    elif [ "$state" != degraded ]; then
      [ "$state" = running ] || sleep 0.05
      continue
    fi
    echo "tests/boot.sh: $state" >&2
    echo "each takes 5 instances of inotify; all of root's: $(cat /proc/sys/fs/inotify/max_user_instances)" >&2
    tail -q -n 100 "$dir/log" "$dir/messages" >&2
    [ "$state" != degraded ] || inside systemctl --failed --no-pager >&2
    return 1
  done
}

# Ends all there is: every process of a PID namespace ends with its first one, which its parent sees end last.
finish() {
  local status=$? n
  trap '' EXIT INT TERM HUP
  if [ -n "$up" ]; then
    [ ! -s "$dir/leader" ] || read -r leader <"$dir/leader"
    kill -KILL "${leader:-$up}" || kill -KILL "$up" || true
    wait "$up" || true
  fi 2>/dev/null
  if [ -n "$cgroup" ]; then
    for ((n = 0; n < 3000; n++)); do
      find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$cgroup" ] || break
      sleep 0.01
    done
  fi
  umount -l "$dir" 2>/dev/null || true
  rmdir "$dir"
  exit "$status"
}

# In mount and cgroup namespaces of its own: starts the other one, and ends it.
# attend [HOST-DIRECTORY INSIDE-DIRECTORY]...
attend() {
  dir=$(mktemp -d "${TMPDIR:-/tmp}/mgmt-boot-XXXXXX") cgroup='' up='' leader=''
  trap finish EXIT
  trap 'exit 1' INT TERM HUP
  mount -t tmpfs -o mode=755 tmpfs "$dir"
  mkdir "$dir"/{machine,upper,work,root,cgroup}
  : >"$dir/messages"
  mount --bind -o ro / "$dir/machine"
  mount -t overlay -o "lowerdir=$dir/machine,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/root"
  # The root of this mount is the cgroup that we are in: the new one is below, within our own limits.
  mount -t cgroup2 cgroup2 "$dir/cgroup"
  cgroup=$(mktemp -d "$dir/cgroup/mgmt-boot-XXXXXX")
  (
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    exec setsid setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --net --uts --ipc --cgroup \
      bash -c "$(this_script)"'; become "$@"' become "$dir" "$@"
  ) </dev/null >"$dir/log" 2>&1 &
  up=$!
  wait_until_up
  echo "$leader"
  while read -r _; do :; done
}

exec unshare --mount --cgroup bash -c "$(this_script)"'; attend "$@"' attend "$@"

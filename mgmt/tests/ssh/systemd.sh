# PID 1 of a host that has a systemd of its own: becomes that, with the file tree $K/tree, in namespaces that end with it.
# Its PID, as the test sees it, goes to $K/leader.
set -eu
read -r pid rest </proc/self/stat
root=$K/tree
hostname "$NAME"
mount -t proc proc "$root/proc"
mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs sysfs "$root/sys"
mount -o remount,bind,ro "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for name in null zero full random urandom tty; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
: >"$root/dev/console"
mount --bind /dev/null "$root/dev/console"
: >"$root/dev/kmsg"
mount --bind "$K/messages" "$root/dev/kmsg"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$root/dev/${name#*:}"; done
echo "$pid" >"$K/leader"
mkdir -p "$root/.machine"
cd "$root"
pivot_root . .machine
# Without the abilities to set the clock, load modules, or reach hardware and the kernel's log.
exec setpriv --inh-caps=-all --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog \
  env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c '
    cd / && umount -l /.machine && rmdir /.machine
    exec /lib/systemd/systemd --show-status=no'

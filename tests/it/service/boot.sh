# Becomes a systemd in namespaces of its own: run by unshare, as PID 1 of a new pid namespace, with the
# folder that becomes its root as $1, the folder of runtime images as $2, and that in which daemons of
# this machine say which user ids are whose as $3.
#
# Of this machine it has /usr, read-only, and what programs look up in /etc. Its units are in one
# directory, so that it starts nothing but the journal and what is installed there.
set -eu
root=$1 images=$2 state=$3
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p usr etc/systemd/system var/lib var/log proc sys dev run tmp root srv/images srv/state old
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t tmpfs -o mode=755 tmpfs usr/local/bin
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$name" ]; then cp -a "/$name" "$name"; fi
done
for name in passwd group nsswitch.conf hosts ld.so.cache ld.so.conf ld.so.conf.d ssl alternatives; do
    if [ -e "/etc/$name" ]; then cp -a "/etc/$name" etc/; fi
done
# Whoever has installed Hearth here has made the user; this system has not.
sed -i /^hearth:/d etc/passwd etc/group
echo 68656172746868656172746868656172 > etc/machine-id
mount --bind "$images" srv/images
mount --bind "$state" srv/state
mount -t proc proc proc
# What it wants to change of the kernel is this machine's; where it may, there is a stand-in.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs tmpfs proc/sys/fs/inotify
echo 128 > proc/sys/fs/inotify/max_user_instances
echo 8192 > proc/sys/fs/inotify/max_user_watches
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /run var/run
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
cd etc/systemd/system
for name in sysinit basic sockets multi-user shutdown; do
    printf '[Unit]\nDefaultDependencies=no\n' > "$name.target"
done
for name in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    cp "/usr/lib/systemd/system/$name" .
done
printf '[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service\n' > up.target
cd "$root"
pivot_root . old
umount -l /old
exec env -i container=hearth-test PATH=/usr/sbin:/usr/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \
    /usr/lib/systemd/systemd --system --unit=up.target --log-target=journal --show-status=no

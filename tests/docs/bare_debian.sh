#!/bin/sh
# The README's commands in a fresh clone on a bare Debian 12: python3, make, git, and nothing else. Needs root and debootstrap.
#
#   sh tests/docs/bare_debian.sh 'make run' '.venv/bin/python -m htr read tests/golden/line.png'
#
# BIND='/a /b' makes folders of this machine visible inside (a site's own packages); pip's own variables go along.
set -eu

[ "$(id -u)" = 0 ] || { echo "error: run it as root: it makes a system of its own, and enters it"; exit 2; }
command -v debootstrap >/dev/null || { echo "error: debootstrap is missing: apt-get install debootstrap"; exit 2; }
[ $# -gt 0 ] || { echo "error: name the commands, such as: sh $0 'make run'"; exit 2; }

root=$(mktemp -d)
leave() {
    for inside in dev/shm dev proc ${BIND:-}; do umount -l "$root/${inside#/}" 2>/dev/null || true; done
    # Nothing of this machine may be below it any more when it is removed.
    grep -q " $root/" /proc/mounts && { echo "note: $root is left: something is still mounted in it"; return; }
    rm -rf "$root"
}
trap leave EXIT
trap 'exit 130' INT TERM

debootstrap --variant=minbase --include=python3,python3-venv,make,git,ca-certificates bookworm "$root" >"$root.log" 2>&1 ||
    { tail -n 3 "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
for folder in ${BIND:-}; do
    mkdir -p "$root$folder"
    mount --bind -o ro "$folder" "$root$folder"
done
[ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
for tool in pip uv; do
    [ ! -d "$HOME/.config/$tool" ] || { mkdir -p "$root/root/.config"; cp -r "$HOME/.config/$tool" "$root/root/.config/"; }
done
git clone -q "$(git rev-parse --show-toplevel)" "$root/home/quillflow"
settings=$(env | grep -E '^(PIP|UV|SSL)_[A-Z_]*=[^ ]*$' || true)
for command in "$@"; do
    echo "$ $command"
    # shellcheck disable=SC2086  # settings are words of env
    chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 $settings \
        sh -c "cd /home/quillflow && $command"
done

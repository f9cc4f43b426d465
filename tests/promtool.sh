#!/bin/sh
# promtool.sh DIR - brings promtool, Prometheus' own checker, unless it is there.
#
# It is one program of Debian's package prometheus. Installing that would start
# a service on this machine, so the package is only unpacked, below DIR, and
# nothing of it but this program is kept.
set -eu
dir=$1
if [ -x "$dir/usr/bin/promtool" ] || command -v promtool >/dev/null 2>&1; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "promtool: missing, and this is no Debian to get the package prometheus on" >&2
  exit 1
fi
echo "packages: unpacking promtool of prometheus below $dir"
mkdir -p "$dir"
work=$(mktemp -d "$dir/XXXXXX")
trap 'rm -rf "$work"' EXIT
get() { (cd "$work" && apt-get download -qq prometheus) >"$work/log" 2>&1; }
sudo=
[ "$(id -u)" = 0 ] || sudo='sudo -n'
if ! get && ! { $sudo apt-get update -qq >/dev/null 2>&1 && get; }; then
  tail -n 5 "$work/log" >&2
  echo "promtool: the package prometheus could not be fetched" >&2
  exit 1
fi
dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$dir" ./usr/bin/promtool

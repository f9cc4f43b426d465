#!/bin/sh
# vectors.sh DIR - brings the official tests of JSON Schema, unless they are there.
#
# Debian has them as data of a Perl module. Installing that would bring 45
# packages, so it is only unpacked, below DIR, and nothing of it but the tests
# of draft 2020-12 is kept.
set -eu
dir=$1
package=libtest-json-schema-acceptance-perl
from=./usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance/tests/draft2020-12
[ ! -d "$dir/draft2020-12" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "vectors: missing, and this is no Debian to get the package $package on" >&2
  exit 1
fi
echo "packages: unpacking the tests of $package below $dir"
mkdir -p "$dir"
work=$(mktemp -d "$dir/XXXXXX")
trap 'rm -rf "$work"' EXIT
get() { (cd "$work" && apt-get download -qq $package) >"$work/log" 2>&1; }
sudo=
[ "$(id -u)" = 0 ] || sudo='sudo -n'
if ! get && ! { $sudo apt-get update -qq >/dev/null 2>&1 && get; }; then
  tail -n 5 "$work/log" >&2
  echo "vectors: the package $package could not be fetched" >&2
  exit 1
fi
dpkg-deb --fsys-tarfile "$work"/$package*.deb | tar -x -C "$work" "$from"
mv "$work/$from" "$dir/draft2020-12"

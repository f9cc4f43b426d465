#!/bin/sh
# build.sh STAGE OUT VERSION - two Debian packages, of an installation below /usr.
#
# `make deb` calls it with what `make install` has put below STAGE, which is taken
# apart. The same files give the same packages, byte for byte: names in order,
# fixed owners and modes, and no time but SOURCE_DATE_EPOCH. Nothing of debhelper
# is needed; what a maintainer script does is written beside this file.
set -eu
umask 022
export LC_ALL=C TZ=UTC
stage=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=$3
here=$(cd "$(dirname "$0")" && pwd)
arch=$(dpkg --print-architecture)
: "${SOURCE_DATE_EPOCH:?the time of the sources}" "${MAINTAINER:?who answers for the package}"
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What only who writes or embeds something needs goes into yoi-dev.
mkdir -p "$work/debian/yoi-dev/DEBIAN"
mv "$stage" "$work/debian/yoi"
mkdir "$work/debian/yoi/DEBIAN"
cd "$work/debian/yoi"
pc=usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH)
mkdir "$pc"
mv usr/lib/pkgconfig "$pc"
for path in usr/include usr/lib/*.a usr/lib/libyoi.so "$pc" usr/lib/yoi/plugin.map \
  usr/share/man/man7 usr/bin/yoi-conform usr/share/man/man1/yoi-conform.1; do
  [ -e "$path" ] || continue
  mkdir -p "../yoi-dev/${path%/*}"
  mv "$path" "../yoi-dev/$path"
done
rm usr/share/doc/yoi/LICENSE # it is the file copyright
install -D -m 644 -t etc/yoi "$here/yoi.json"
chmod 644 usr/lib/libyoi.so.*

# What the linker has noted of code, and what only a debugger reads.
find "$work" -name '*.a' -exec strip -D --strip-debug --remove-section=.comment {} +
find "$work" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF' - {} \; -print >"$work/elf"
xargs strip -D --strip-unneeded --remove-section=.comment <"$work/elf"

printf 'Source: yoi\n\nPackage: yoi\nArchitecture: any\n' >"$work/debian/control"

for name in yoi yoi-dev; do
  root=$work/debian/$name
  doc=$root/usr/share/doc/$name
  install -D -m 644 -t "$doc" "$here/copyright"
  printf '%s (%s) unstable; urgency=medium\n\n  * Built by make deb.\n\n -- %s  %s\n' yoi \
    "$version" "$MAINTAINER" "$(date -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"
  [ ! -e "$here/$name.lintian" ] ||
    install -D -m 644 "$here/$name.lintian" "$root/usr/share/lintian/overrides/$name"
  find "$root/usr/share/man" -type f -exec gzip -9n {} +
  find "$root" -type d -exec chmod 755 {} +
  cd "$root"
  # The libraries that it needs, by the packages that have those.
  sed -n "s|^$root/|-e&|p" "$work/elf" |
    (cd "$work" && xargs dpkg-shlibdeps -O --ignore-missing-info) >"$work/depends"
  find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\n' | sort |
    xargs -d '\n' md5sum >DEBIAN/md5sums
  [ ! -d etc ] || find etc -type f -printf '/%p\n' | sort >DEBIAN/conffiles
  for file in triggers shlibs; do
    [ ! -e "$here/$name.$file" ] || install -m 644 "$here/$name.$file" "DEBIAN/$file"
  done
  for file in postinst prerm postrm; do
    [ ! -e "$here/$name.$file" ] || install -m 755 "$here/$name.$file" "DEBIAN/$file"
  done
  size=$(find . -path ./DEBIAN -prune -o -printf '%y %s\n' |
    awk '{ n += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print n }')
  sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$MAINTAINER|; s|@SIZE@|$size|" \
    -e "s|@SHLIBS@|$(sed -n 's/^shlibs:Depends=//p' "$work/depends")|" \
    "$here/$name.control" >DEBIAN/control
  find . -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  cd "$OLDPWD"
  file=$out/${name}_${version}_$arch.deb
  dpkg-deb --root-owner-group --threads-max=1 -Zxz -b "$root" "$file" >/dev/null
  echo "  deb     $file"
done

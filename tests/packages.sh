#!/bin/sh
# packages.sh NAME... - installs the Debian packages that are missing, and
# says which. Asks nothing; where it may not install, it prints the command.
set -eu
missing=
for p in "$@"; do
  [ "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || true)" = 'install ok installed' ] ||
    missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "packages: missing, and this is no Debian to install them on:$missing" >&2
  exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo=sudo
  else
    echo "packages: missing; install them with: sudo apt-get install$missing" >&2
    exit 1
  fi
fi
echo "packages: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# What brings a service is for a private use of its program here: while it is
# installed, Debian's policy file says that nothing is started.
policy=
case $missing in
*nginx*)
  [ -e /usr/sbin/policy-rc.d ] || policy=/usr/sbin/policy-rc.d
  ;;
esac
trap 'rm -f "$log"; [ -z "$policy" ] || $sudo rm -f "$policy"' EXIT
trap 'exit 1' HUP INT TERM
if [ -n "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
fi
# shellcheck disable=SC2086
if ! { $sudo apt-get update -qq &&
    $sudo apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "packages: the installation failed" >&2
  exit 1
fi

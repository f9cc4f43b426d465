#!/bin/sh
# npm.sh DIR NAME@VERSION... - installs the npm packages that are missing below
# DIR, and says so. The names are the Makefile's; nothing is installed outside
# of DIR, no script of a package runs, and no lock file stays.
set -eu
dir=$1
shift
missing=
for p in "$@"; do
  file="$dir/node_modules/${p%@*}/package.json"
  grep -qs "^[[:space:]]*\"version\": \"${p##*@}\"" "$file" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
command -v npm >/dev/null 2>&1 || "$(dirname "$0")/packages.sh" npm
echo "packages: installing below $dir:$missing"
mkdir -p "$dir"
[ -f "$dir/package.json" ] || echo '{"private": true}' >"$dir/package.json"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! npm install --prefix "$dir" --no-save --no-package-lock --no-audit --no-fund \
    --ignore-scripts --loglevel=error "$@" >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "packages: the installation of npm packages failed" >&2
  exit 1
fi

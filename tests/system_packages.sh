#!/bin/sh
# Programs that some tests look with: a browser, and exiftool. What cannot be installed is said, and its tests are skipped with that reason.
for_tests() { # a command, the Debian package that has it
  command -v "$1" >/dev/null 2>&1 && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    [ -n "$updated" ] || apt-get update -qq >/dev/null 2>&1
    updated=yes
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1
  fi
  command -v "$1" >/dev/null 2>&1 || echo "No $1 here: the tests that need it are skipped. On Debian: apt-get install $2"
}
for_tests chromium chromium
for_tests exiftool libimage-exiftool-perl
exit 0

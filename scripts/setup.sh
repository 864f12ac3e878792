#!/usr/bin/env bash
# Install what building (and, with "test", testing) Pagoda needs, on Debian 12 or Ubuntu 24.04.
#   scripts/setup.sh [build|test]
# Installs only what is missing, as root or through sudo; a second run does nothing.
set -euo pipefail

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

kind=${1:-build}
build_packages=(gcc libc6-dev cmake ninja-build pkg-config curl ca-certificates
    libuv1-dev libcjson-dev libpcre2-dev libutf8proc-dev libxxhash-dev libsodium-dev libyaml-dev
    libcmocka-dev)
test_packages=(clang clang-format-14 clang-tidy python3 python3-venv)

distribution=unknown
if [ -r /etc/os-release ]; then
    distribution=$(. /etc/os-release && printf '%s %s' "$ID" "${VERSION_ID:-}")
fi
# clang's sanitizer and fuzzer run times are a package of their own, named by clang's version
case "$distribution" in
"debian 12") test_packages+=(libclang-rt-14-dev) ;;
"ubuntu 24.04") test_packages+=(libclang-rt-18-dev) ;;
*)
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "this system ($distribution) has no apt; install the equivalents of: ${build_packages[*]}"
    say "made for Debian 12 and Ubuntu 24.04; trying the same package names on $distribution"
    ;;
esac

case "$kind" in
build) wanted=("${build_packages[@]}") ;;
test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
*) die "unknown argument '$kind': 'build' or 'test' expected" ;;
esac

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    say "all ${#wanted[@]} packages are installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        die "not root and no sudo; ask an administrator for: apt-get install ${missing[*]}"
    as_root=(sudo)
    sudo true || die "sudo refused; ask an administrator for: apt-get install ${missing[*]}"
fi
say "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq ||
    die "apt-get update failed; check the network and /etc/apt, then run this again"
# a fresh machine may be upgrading itself: wait for its lock
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]} (its message is above; Ubuntu needs 'universe' enabled)"
say "done"

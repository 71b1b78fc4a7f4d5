# Shared by the scripts in tools/. Source it; it expects bash with `set -euo pipefail`.

# The repository, wherever the script was called from.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# What the engine needs to build, and what Weir does.
engine_packages=(liburing-dev)
build_packages=("${engine_packages[@]}" libsqlite3-dev nettle-dev)
# What the tests play against, and what reads the results.
test_packages=(
    "${build_packages[@]}"
    python3 python3-gi gir1.2-gst-rtsp-server-1.0
    ffmpeg fonts-dejavu-core
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp gstreamer1.0-x
    mplayer vlc-bin vlc-plugin-base libmms-dev
    iproute2 util-linux
    gcc g++ binutils make pkg-config valgrind
)

say() { printf '%s\n' "$*" >&2; }
fail() { say "${0##*/}: $*"; exit 1; }

# The comment block under the first line of a script is its help text.
show_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# Installs those Debian packages that are missing; silent when none is.
ensure_packages() {
    local missing=() package
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -eq 0 ] && return 0

    command -v apt-get >/dev/null || fail "needs the packages: ${missing[*]} (there is no apt-get here; install them by your system's means)"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null \
            || fail "needs the packages: ${missing[*]}. As root: apt-get update && apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get -qq -o Acquire::Retries=3 update >&2 || fail "apt-get update failed; is there a network?"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 install --yes --no-install-recommends "${missing[@]}" >&2 \
        || fail "could not install: ${missing[*]}"
}

# Says what to do when there is no Swift, rather than "command not found".
ensure_swift() {
    command -v swift >/dev/null || fail "needs Swift 6.2 or newer on the PATH: https://www.swift.org/install/linux/"
}

#!/bin/sh
# Installs what the tests want beside Python: tools/install.sh [NAME...], no NAME or `all` meaning every one.
#   qpdf pdfsig openssl unzip strace unshare   programs, from the distribution's packages
#   dss verapdf                        independent judges, built with Maven into .cache/judges/
# Made for a brand-new Debian 12, as root or with sudo. Installs only what is missing; may be run again at any time,
# also twice at once.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
judges=$root/.cache/judges
everything='qpdf pdfsig openssl unzip strace unshare dss verapdf'
names=${*:-all}
[ "$names" != all ] || names=$everything
mkdir -p "$judges"
log=$judges/install.log

if [ "${PROBANS_INSTALL_LOCKED:-}" != "$judges" ] && command -v flock >/dev/null; then
    PROBANS_INSTALL_LOCKED=$judges exec flock "$judges/lock" sh "$0" "$@"
fi

# Runs a command quietly; a second time after a pause, since networks hiccup; then shows why it failed.
persist() {
    "$@" >"$log" 2>&1 && return
    sleep 5
    "$@" >"$log" 2>&1 && return
    tail -n 30 "$log" >&2
    echo "tools/install.sh: failed: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then env DEBIAN_FRONTEND=noninteractive "$@"; else sudo -n env DEBIAN_FRONTEND=noninteractive "$@"; fi
}

# want PROGRAM PACKAGE: remembers the package if the program is not there.
packages=''
want() {
    command -v "$1" >/dev/null || packages="$packages $2"
}

for name in $names; do
    case $name in
        qpdf | openssl | unzip | strace) want "$name" "$name" ;;
        pdfsig) want pdfsig poppler-utils ;;
        unshare) want unshare util-linux ;;
        dss | verapdf) want javac default-jdk-headless && want mvn maven ;;
        *)
            echo "tools/install.sh: unknown name $name; known: $everything" >&2
            exit 2
            ;;
    esac
done

if [ -n "$packages" ]; then
    packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')
    echo "installing $packages"
    persist as_root apt-get -q update
    # shellcheck disable=SC2086
    persist as_root apt-get -q -y --no-install-recommends install $packages
fi

for name in $names; do
    case $name in dss | verapdf) ;; *) continue ;; esac
    source=$root/tools/judges/$name
    version=$(cat "$source/pom.xml" "$source"/src/main/java/*.java | sha256sum)
    if [ -f "$judges/$name.jar" ] && [ "$(cat "$judges/$name.version" 2>/dev/null)" = "$version" ]; then continue; fi
    echo "building $name.jar"
    persist mvn -q -B -ntp -f "$source/pom.xml" clean package
    cp "$source/target/$name.jar" "$judges/$name.jar.new"
    mv "$judges/$name.jar.new" "$judges/$name.jar"
    printf '%s\n' "$version" >"$judges/$name.version"
done

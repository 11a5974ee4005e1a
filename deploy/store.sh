#!/bin/sh
# Starts the gateway with the keys that lie in files: it takes them from its environment alone.
set -eu
secrets=${SECRETS:-/run/secrets}
data=${DATA:-/data}
ROOT_ACCESS_KEY_ID=$(cat "$secrets/store_access_key")
ROOT_SECRET_ACCESS_KEY=$(cat "$secrets/store_secret_key")
export ROOT_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY
mkdir -p "$data/objects" "$data/versions" "$data/iam"
exec versitygw --port "${LISTEN:-:7070}" --health /health --iam-dir "$data/iam" --keep-alive --quiet \
    --cert "$secrets/store_certificate" --key "$secrets/store_key" \
    posix --versioning-dir "$data/versions" "$data/objects"

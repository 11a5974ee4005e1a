#!/bin/sh
# Copies the primary when the standby's folder is empty, then follows it under the name that its commits wait for.
set -eu
secrets=${SECRETS:-/run/secrets}
passwords=${TMPDIR:-/tmp}/pgpass
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '*:*:*:standby:%s\n' "$(cat "$secrets/replication_password")" >"$passwords"
    chmod 600 "$passwords"
    # The password goes into the standby's own postgresql.auto.conf, with the name that the primary waits for.
    PGPASSFILE=$passwords pg_basebackup --pgdata "$PGDATA" --write-recovery-conf --wal-method stream \
        --dbname "host=${PRIMARY:-database} port=${PRIMARY_PORT:-5432} user=standby application_name=standby"
    rm "$passwords"
    chmod 700 "$PGDATA"
fi
exec postgres "$@"

#!/bin/sh
# Copies the primary when the standby's folder is empty, then follows it under the name that its commits wait for.
# Arguments are the server's. The password lies in memory alone, so it is written there at each start.
set -eu
secrets=${SECRETS:-/run/secrets}
export PGPASSFILE="${TMPDIR:-/tmp}/pgpass"
umask 077
printf '*:*:*:standby:%s\n' "$(cat "$secrets/replication_password")" >"$PGPASSFILE"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    pg_basebackup --pgdata "$PGDATA" --write-recovery-conf --wal-method stream --checkpoint fast \
        --dbname "host=${PRIMARY:-database} port=${PRIMARY_PORT:-5432} user=standby application_name=standby"
    chmod 700 "$PGDATA"
fi
exec postgres "$@"

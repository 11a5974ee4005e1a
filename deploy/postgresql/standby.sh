#!/bin/sh
# Copies the primary when the standby's folder is empty, then follows it under the name that its commits wait for.
# Arguments are the server's. The password lies in memory alone, so it is written there at each start.
set -eu
secrets=${SECRETS:-/run/secrets}
export PGPASSFILE="${TMPDIR:-/tmp}/pgpass"
umask 077
printf '*:*:*:standby:%s\n' "$(cat "$secrets/replication_password")" >"$PGPASSFILE"
primary="host=${PRIMARY:-database} port=${PRIMARY_PORT:-5432} user=standby"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Under another name: a copy under way keeps nothing that a commit could rest on.
    pg_basebackup --pgdata "$PGDATA" --wal-method stream --checkpoint fast --dbname "$primary application_name=copying"
    chmod 700 "$PGDATA"
    touch "$PGDATA/standby.signal"
fi
exec postgres -c "primary_conninfo=$primary application_name=standby" "$@"

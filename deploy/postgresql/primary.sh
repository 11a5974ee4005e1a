#!/bin/sh
# Runs once, when the primary's folder is empty: the service's role and database, and the role its standby copies with.
set -eu
secrets=${SECRETS:-/run/secrets}
service=$(cat "$secrets/database_password")
copying=$(cat "$secrets/replication_password")
# The standby that commits wait for does not exist yet.
export PGOPTIONS='-c synchronous_commit=local'
psql --no-psqlrc --set ON_ERROR_STOP=1 --set service="$service" --set copying="$copying" --username postgres <<'SQL'
CREATE ROLE probans LOGIN PASSWORD :'service';
CREATE DATABASE probans OWNER probans ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0;
REVOKE ALL ON DATABASE probans FROM PUBLIC;
CREATE ROLE standby LOGIN REPLICATION PASSWORD :'copying';
SQL
echo 'host replication standby all scram-sha-256' >>"$PGDATA/pg_hba.conf"

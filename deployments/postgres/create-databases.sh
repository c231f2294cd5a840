#!/bin/sh
# Makes the databases of ADIT and of Prefect, each with a user who can reach no other. PostgreSQL's image runs it
# when the volume is new; it may be run again, to set other passwords.
set -eu

SECRETS=${ADIT_SECRETS_DIR:-/run/secrets}

# The password is read by psql itself, so that it is in no list of processes.
create() {
    PASSWORD_FILE="$SECRETS/$2" psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set name="$1" \
        --set options="$3" --username "${POSTGRES_USER:-postgres}" --dbname postgres >/dev/null <<'SQL'
\set password `cat "$PASSWORD_FILE"`
SELECT format('CREATE ROLE %I', :'name')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
SELECT format('ALTER ROLE %I LOGIN %s PASSWORD %L', :'name', :'options', :'password') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

# A backup is proved by restoring it into a database that is made for this.
create adit adit_database_password CREATEDB
create prefect prefect_server_database_password NOCREATEDB

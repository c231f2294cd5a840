#!/bin/sh
# Makes the secrets that compose.yaml wants, at random, as files in ./secrets or in the folder that is given.
# Those that are there stay as they are. Keep a copy of adit_secret_keys with your backups: without it the secrets
# in them cannot be read.
set -eu

FOLDER=${1:-$(dirname "$0")/../secrets}

random() {
    head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'
}

# Containers read a file as another user than its owner, hence its mode; the folder keeps others away.
write() {
    [ -e "$FOLDER/$1" ] && return
    printf '%s\n' "$2" >"$FOLDER/$1.new"
    chmod 444 "$FOLDER/$1.new"
    mv "$FOLDER/$1.new" "$FOLDER/$1"
    echo "Made $FOLDER/$1"
}

mkdir -p "$FOLDER"
chmod 700 "$FOLDER"
write postgres_password "$(random 24)"
write adit_database_password "$(random 24)"
write prefect_server_database_password "$(random 24)"
write prefect_api_auth_string "adit:$(random 24)"
write adit_receiver_token "$(random 24)"
write adit_secret_keys "$(random 32)"
write grafana_admin_password "$(random 18)"

#!/usr/bin/env bash
# The contract of the official image, written for the Debian packages: same
# environment, same volume, same first-start phase.  Tests that hold on this
# image must hold on the official one.
set -Eeuo pipefail

# env_or_file NAME [DEFAULT]: NAME, or the content of the file NAME_FILE.
env_or_file() {
  local name=$1 file_name=$1_FILE
  if [[ -n ${!name:-} && -n ${!file_name:-} ]]; then
    echo >&2 "error: both $name and $file_name are set (but are exclusive)"
    exit 1
  fi
  local value=${!name:-${2:-}}
  [[ -z ${!file_name:-} ]] || value=$(<"${!file_name}")
  export "$name=$value"
  unset "$file_name"
}

read_settings() {
  env_or_file POSTGRES_PASSWORD
  env_or_file POSTGRES_USER postgres
  env_or_file POSTGRES_DB "$POSTGRES_USER"
  env_or_file POSTGRES_INITDB_ARGS
  : "${POSTGRES_HOST_AUTH_METHOD:=}"
}

require_password() {
  if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
    echo >&2 "Error: Database is uninitialized and superuser password is not specified."
    exit 1
  fi
}

# From 18 on: data of another major, or a mount at the former place, is not passed over for an empty cluster.
refuse_old_data() {
  local place found=()
  [[ $PG_MAJOR -ge 18 && $PGDATA == "/var/lib/postgresql/$PG_MAJOR/docker" ]] || return 0
  for place in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    [[ ! -s $place/PG_VERSION ]] || found+=("$place")
  done
  if [[ ${#found[@]} == 0 ]] && grep -q ' /var/lib/postgresql/data ' /proc/self/mountinfo; then
    found=("/var/lib/postgresql/data (unused mount/volume)")
  fi
  [[ ${#found[@]} != 0 ]] || return 0
  echo >&2 "Error: in 18+, data lies in directories by major; there appears to be PostgreSQL data in: ${found[*]}"
  exit 1
}

as_owner_of_data() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA"
  chmod 3777 /var/run/postgresql
  find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres:postgres {} +
  export HOME=/var/lib/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
}

create_cluster() {
  local password
  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
  # The arguments are a shell line, quotes included: that is the contract.
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=\"\$password\" $POSTGRES_INITDB_ARGS"
  rm -f "$password"
  local method=$POSTGRES_HOST_AUTH_METHOD
  [[ -n $method ]] || method=$(postgres -C password_encryption)
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

# Reachable over the socket only: nobody can use a half-made database.
start_private() {
  [[ ${1:-} != postgres ]] || shift
  set -- "$@" -c "listen_addresses=" -p "${PGPORT:-5432}"
  PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -o "$(printf '%q ' "$@")" -w start
}

stop_private() {
  PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
}

run_sql() {
  PGHOST='' PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD} psql -v ON_ERROR_STOP=1 \
    --username "$POSTGRES_USER" --no-password --no-psqlrc --dbname "$POSTGRES_DB" "$@"
}

create_database() {
  [[ $POSTGRES_DB != postgres ]] || return 0
  POSTGRES_DB=postgres run_sql --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        echo "$0: running $file"
        # A script without its run bit is sourced, and may set variables.
        # shellcheck disable=SC1090
        if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) echo "$0: running $file"; run_sql -f "$file" ;;
      *.sql.gz) echo "$0: running $file"; gunzip -c "$file" | run_sql ;;
      *) [[ ! -e $file ]] || echo "$0: ignoring $file" ;;
    esac
  done
}

first_start() {
  require_password
  refuse_old_data
  create_cluster
  start_private "$@"
  create_database
  run_init_files
  stop_private
  echo "PostgreSQL init process complete; ready for start up."
}

wants_help() {
  local arg
  for arg in "$@"; do
    case $arg in -'?' | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

main() {
  [[ ${1:0:1} != - ]] || set -- postgres "$@"
  if [[ ${1:-} == postgres ]] && ! wants_help "$@"; then
    read_settings
    [[ $(id -u) != 0 ]] || as_owner_of_data "$@"
    [[ -s $PGDATA/PG_VERSION ]] || first_start "$@"
  fi
  exec "$@"
}

main "$@"

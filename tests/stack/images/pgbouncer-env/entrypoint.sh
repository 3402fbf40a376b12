#!/bin/bash
# The contract of edoburu/pgbouncer: variables become an ini and a line of the userlist, where there are none yet.
set -e

PG_CONFIG_DIR=/etc/pgbouncer
PG_CONFIG_FILE="${PG_CONFIG_DIR}/pgbouncer.ini"
_AUTH_FILE="${AUTH_FILE:-$PG_CONFIG_DIR/userlist.txt}"

if [ -n "${DB_USER}" ] && [ -n "${DB_PASSWORD}" ] && ! grep -q "^\"${DB_USER}\"" "${_AUTH_FILE}"; then
  secret="${DB_PASSWORD}"
  case "${AUTH_TYPE}" in
    plain | scram-sha-256) ;;
    *) secret="md5$(printf %s "${DB_PASSWORD}${DB_USER}" | md5sum | cut -d ' ' -f 1)" ;;
  esac
  echo "\"${DB_USER}\" \"${secret}\"" >> "${_AUTH_FILE}"
fi

database() {
  printf "\
${DB_NAME:-*} = host=${DB_HOST:?"DB_HOST is not set"} \
port=${DB_PORT:-5432} auth_user=${DB_USER:-postgres}
" >> "${PG_CONFIG_FILE}"
}

if [ ! -f "${PG_CONFIG_FILE}" ]; then
  printf "\
################## Auto generated ##################
[databases]
" > "${PG_CONFIG_FILE}"
  database
  printf "\
[pgbouncer]
listen_addr = ${LISTEN_ADDR:-0.0.0.0}
listen_port = ${LISTEN_PORT:-5432}
unix_socket_dir = ${UNIX_SOCKET_DIR}
user = postgres
auth_file = ${_AUTH_FILE}
auth_type = ${AUTH_TYPE:-md5}
${POOL_MODE:+pool_mode = ${POOL_MODE}\n}\
${MAX_CLIENT_CONN:+max_client_conn = ${MAX_CLIENT_CONN}\n}\
${DEFAULT_POOL_SIZE:+default_pool_size = ${DEFAULT_POOL_SIZE}\n}\
${RESERVE_POOL_SIZE:+reserve_pool_size = ${RESERVE_POOL_SIZE}\n}\
ignore_startup_parameters = ${IGNORE_STARTUP_PARAMETERS:-extra_float_digits}
${MAX_PREPARED_STATEMENTS:+max_prepared_statements = ${MAX_PREPARED_STATEMENTS}\n}\

# Log settings
admin_users = ${ADMIN_USERS:-postgres}
${STATS_USERS:+stats_users = ${STATS_USERS}\n}\

# Connection sanity checks, timeouts
${SERVER_LOGIN_RETRY:+server_login_retry = ${SERVER_LOGIN_RETRY}\n}\
${QUERY_WAIT_TIMEOUT:+query_wait_timeout = ${QUERY_WAIT_TIMEOUT}\n}\
################## end file ##################
" >> "${PG_CONFIG_FILE}"
fi

exec "$@"

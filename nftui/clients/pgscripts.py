"""What runs in the helpers of a PostgreSQL upgrade: POSIX shell, for there is no other in every image.

`/nftui` is the place that is being filled. In its work directory lie `old` and `new` (the sockets of the two servers,
which listen on nothing else), `dump` (what was taken from the old one) and `data` (the new data directory). Whoever
reaches a socket may do all: the helpers have no network, and only root enters that directory from outside.
"""

from __future__ import annotations

WORK = "nftui-work"
INSIDE = f"/nftui/{WORK}"
DATA = f"{WORK}/data"
DUMPED = f"{WORK}/dump/whole"
"""Stands once the dump is whole."""

FILE_SETTINGS = """'hba_file', 'ident_file', 'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file', 'ssl_crl_file',
  'ssl_dh_params_file'"""
"""Settings that name a file of logins or keys."""
_BESIDE = "BESIDE='pg_hba.conf pg_ident.conf server.crt server.key root.crt'\n"
"""Where such files lie in a data directory if no setting names them."""

_HEAD = f"set -eu\nW={INSIDE}\nexport LC_ALL=C PGOPTIONS= PGCLIENTENCODING=UTF8\n"

PREPARE = (
    _HEAD
    + """
rm -rf "$W"
mkdir -p "$W/old" "$W/new" "$W/dump" "$W/data"
chmod 755 /nftui "$W"
chmod 777 "$W/old" "$W/new"
printf 'local all all trust\\n' >"$W/hba"
: >"$W/ident"
chown -R postgres: "$W/dump" "$W/data"
chmod 700 "$W/dump" "$W/data"
"""
)
"""As root in a helper of the new image."""

OWNER = _HEAD + 'stat -c %u:%g "$1"\n'

_PRIVATE = (
    "-c listen_addresses= -c port=5432 -c unix_socket_permissions=0777 -c hba_file=$W/hba -c ident_file=$W/ident "
    "-c ssl=off -c logging_collector=off -c archive_mode=off -c autovacuum=off -c log_destination=stderr"
)

START_OLD = (
    _HEAD
    + f"""
preload=$2
pg_ctl -D "$1" -w -t 86400 -l "$W/old/log" -o "{_PRIVATE} -c unix_socket_directories=$W/old \
 -c default_transaction_read_only=on -c max_wal_senders=0 -c shared_preload_libraries='$preload'" start >/dev/null \
 || {{ tail -n 3 "$W/old/log" >&2; exit 1; }}
"""
)
"""$1: its data directory, $2: libraries. As the owner of that directory, in a helper of the old image."""

SIZE = (
    _HEAD
    + """
export PGHOST=$W/old PGUSER=$1
total=0
for name in $(psql -X -q -A -t -d template1 -c "SELECT oid FROM pg_database WHERE datallowconn"); do
  name=$(psql -X -q -A -t -d template1 -c "SELECT datname FROM pg_database WHERE oid = $name")
  size=$(PGDATABASE=$name psql -X -q -A -t -v ON_ERROR_STOP=1 -c "SELECT coalesce(sum(pg_table_size(oid)), 0)
    FROM pg_class WHERE relkind IN ('r', 'm') AND (oid >= 16384 OR relname = 'pg_largeobject')")
  total=$((total + size))
done
echo "$total"
"""
)
"""$1: the role. Bytes of tables without their indexes: about what a dump takes."""

STOP = (
    _HEAD
    + """
pg_ctl -D "$1" -w -t 86400 -m fast stop >/dev/null
pg_resetwal -n "$1" | sed -n 's/^First log segment after reset: *........//p'
"""
)
"""$1: its data directory. Prints the name of the next segment of WAL, without its timeline. As the owner."""

_MANIFEST = """
manifest() (
  export PGHOST="$W/$1" PGUSER="$2"
  ask() { psql -X -q -A -t -F ' ' -v ON_ERROR_STOP=1 "$@"; }
  T=$W/dump/manifest-$1
  rm -rf "$T"
  mkdir "$T"
  printf '%s' "$4" | ask -d template1 -f - >"$T/cluster"
  for oid in $(ask -d template1 -c "SELECT oid FROM pg_database WHERE datallowconn"); do
    name=$(ask -d template1 -c "SELECT datname FROM pg_database WHERE oid = $oid")
    export PGDATABASE="$name"
    printf '%s' "$5" | ask -f - >"$T/$oid.objects"
    part=0
    parts=
    while [ "$part" -lt "$3" ]; do
      (printf '%s' "$6" | ask -v part="$part" -v parts="$3" -f - >"$T/$oid.rows-$part") &
      parts="$parts $!"
      part=$((part + 1))
    done
    for process in $parts; do wait "$process"; done
    prefix=$(printf '%s' "$name" | tr '\\n' ' ' | sed 's/[|&\\\\]/\\\\&/g')
    cat "$T/$oid".* | sed "s|^|$prefix: |" >"$T/$oid"
    rm -f "$T/$oid".*
  done
  cat "$T"/* | sort >"$W/dump/manifest.$1"
)
"""
"""`old` or `new`, the role, jobs, the statements. Its own shell, for it runs beside something else."""

DUMP = (
    _HEAD
    + _MANIFEST
    + """
manifest old "$@" &
counting=$!
export PGHOST=$W/old PGUSER=$1 PGDATABASE=template1
one() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }
pg_dumpall --globals-only --no-tablespaces >"$W/dump/globals.sql"
one "SELECT 'CREATE ROLE ' || quote_ident(rolname) || ';' FROM pg_roles WHERE oid = 10" >"$W/dump/bootstrap"
for oid in $(one "SELECT oid FROM pg_database WHERE datallowconn ORDER BY pg_database_size(oid) DESC"); do
  name=$(one "SELECT datname FROM pg_database WHERE oid = $oid")
  PGDATABASE=$name pg_dump --format=directory --jobs="$2" --compress=0 --no-sync --create --no-tablespaces \
    --file="$W/dump/$oid"
  printf '%s' "$name" >"$W/dump/$oid.name"
done
settings() {
  one "SELECT name || ' = ''' || replace(replace(replace(setting, chr(92), chr(92) || chr(92)), '''', ''''''),
      chr(10), chr(92) || 'n') || '''' FROM pg_file_settings
    WHERE (error IS NULL OR error = 'setting could not be applied') AND sourcefile $1 '%/postgresql.auto.conf'
    ORDER BY seqno"
}
settings 'NOT LIKE' >"$W/dump/postgresql.conf"
settings LIKE >"$W/dump/postgresql.auto.conf"
one "SELECT DISTINCT setting FROM pg_file_settings WHERE name IN ("""
    + FILE_SETTINGS
    + """)" >"$W/dump/paths"
one "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template1'" >"$W/dump/encoding"
one "SELECT datcollate FROM pg_database WHERE datname = 'template1'" >"$W/dump/collate"
one "SELECT datctype FROM pg_database WHERE datname = 'template1'" >"$W/dump/ctype"
one "SHOW data_checksums" >"$W/dump/checksums"
one "SELECT setting::bigint / 1048576 FROM pg_settings WHERE name = 'wal_segment_size'" >"$W/dump/segment"
wait "$counting"
"""
)
"""$1: the role that initdb made, $2: jobs, $3 to $5: the statements of the manifest. As postgres in a helper of the new
image. Rows are hashed while they are dumped: who comes second finds the pages in memory.

A setting that our own start overrides "could not be applied" (pg_file_settings of 11 to 18, never translated): it is
the operator's all the same. What is included comes in its order, so that the new server has it all in one file.
"""

KEEP = (
    _HEAD
    + _BESIDE
    + """
mkdir -p "$W/dump/files"
{ printf '%s\\n' $BESIDE; cat "$W/dump/paths"; } |
while IFS= read -r path; do
  case $path in
    "$1"/*) path=${path#"$1"/} ;;
    '' | /* | *..*) continue ;;
  esac
  [ -f "$1/$path" ] || continue
  mkdir -p "$W/dump/files/$(dirname "$path")"
  cp "$1/$path" "$W/dump/files/$path"
done
printf '%s' "$2" >"$W/dump/next-wal"
chown -R "$(stat -c %u:%g "$W/dump")" "$W/dump"
: >"$W/dump/whole"
sync "$W/dump/whole" 2>/dev/null || sync
"""
)
"""$1: the old data directory, as the old image mounts it, $2: the next segment of its WAL. The last of a dump: as root.
Files that settings name come along where they lie in it; a mounted one stays where it is."""

INIT = (
    _HEAD
    + """
rm -rf "$W/data"/* "$W/data"/.[!.]* "$W/new"/* "$W/new"/.s.*
major=$(postgres --version | sed 's/[^0-9]*\\([0-9]*\\).*/\\1/')
sums=
[ "$(cat "$W/dump/checksums")" != on ] || sums=--data-checksums
[ -n "$sums" ] || [ "$major" -lt 18 ] || sums=--no-data-checksums
initdb --pgdata="$W/data" --username="$1" --encoding="$(cat "$W/dump/encoding")" --auth=trust --no-sync $sums \
  --lc-collate="$(cat "$W/dump/collate")" --lc-ctype="$(cat "$W/dump/ctype")" \
  --wal-segsize="$(cat "$W/dump/segment")" >/dev/null
"""
)
"""$1: the role that initdb made before."""

START_NEW = (
    _HEAD
    + f"""
pg_ctl -D "$W/data" -w -t 86400 -l "$W/new/log" -o "{_PRIVATE} -c unix_socket_directories=$W/new -c fsync=off \
 -c full_page_writes=off -c synchronous_commit=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=8GB \
 -c checkpoint_timeout=1h -c maintenance_work_mem=$2 -c shared_buffers=$3 -c shared_preload_libraries='$1'" start \
 >/dev/null || {{ tail -n 3 "$W/new/log" >&2; exit 1; }}
"""
)
"""$1: libraries, $2: maintenance_work_mem, $3: shared_buffers. Not durable: it is written out whole in the end."""

RESTORE = (
    _HEAD
    + """
export PGHOST=$W/new PGUSER=$1
grep -vxF -f "$W/dump/bootstrap" "$W/dump/globals.sql" >"$W/dump/roles.sql" || true
psql -X -q -v ON_ERROR_STOP=1 -d template1 -f "$W/dump/roles.sql" >/dev/null
restore() { pg_restore --create --exit-on-error --jobs="$jobs" "$@"; }
jobs=$2
last=
dropped=yes
for file in "$W"/dump/*.name; do
  from=${file%.name}
  case $(cat "$file") in
    template1) last=$from ;;
    postgres)
      dropped=
      restore --clean --if-exists -d template1 "$from"
      ;;
    *) restore -d template1 "$from" ;;
  esac
done
[ -z "$last" ] || restore --clean --if-exists -d postgres "$last"
[ -z "$dropped" ] || psql -X -q -d template1 -c 'DROP DATABASE postgres'
"""
)
"""$1: the role, $2: jobs. initdb makes a `postgres`, which the old server may not have any more."""

COMPARE = """
if ! cmp -s "$W/dump/manifest.old" "$W/dump/manifest.new"; then
  for one in '-23 <' '-13 >'; do
    comm "${one% ?}" "$W/dump/manifest.old" "$W/dump/manifest.new" | cut -c 1-200 | head -n 10 | sed "s/^/${one#* } /"
  done >"$W/dump/differences" || true
  [ -s "$W/dump/differences" ] || echo '? they are not the same' >"$W/dump/differences"
  sort -k 2 "$W/dump/differences"
fi
"""
"""Prints lines that only the `old` or only the `new` manifest has; never nothing where the two differ. What `diff`
prints is not the same everywhere: busybox, which alpine images have, knows only the unified form."""

PROVE = (
    _HEAD
    + _MANIFEST
    + """
manifest new "$@" &
counting=$!
PGHOST=$W/new PGUSER=$1 vacuumdb --all --analyze-only --quiet --jobs="$2" --maintenance-db=template1
wait "$counting"
"""
    + COMPARE
)
"""As DUMP, of the new server; statistics meanwhile. Prints what differs."""

SETTINGS = (
    _HEAD
    + _BESIDE
    + """
export PGHOST=$W/new PGUSER=$1 PGDATABASE=template1
psql -X -q -A -t -v ON_ERROR_STOP=1 -c "SELECT name FROM pg_settings WHERE context <> 'internal' AND name NOT IN
  ('data_directory', 'config_file', 'external_pid_file')" >"$W/dump/known"
knows() { case $1 in *.*) ;; *) grep -qixF -- "$1" "$W/dump/known" ;; esac; }
take() {
  while IFS= read -r line; do
    ! knows "${line%% = *}" || printf '%s\\n' "$line"
  done <"$W/dump/$1"
}
{ echo "# Carried over by nftui:"; take postgresql.conf; } >>"$W/data/postgresql.conf"
take postgresql.auto.conf >>"$W/data/postgresql.auto.conf"
mkdir -p "$W/dump/files"
for file in $BESIDE; do
  [ ! -e "$W/dump/$file" ] || mv "$W/dump/$file" "$W/dump/files/"
done
find "$W/dump/files" -type d -exec chmod 700 {} +
find "$W/dump/files" -type f -exec chmod 600 {} +
cp -pR "$W/dump/files/." "$W/data/"
grep -h . "$W/dump/postgresql.conf" "$W/dump/postgresql.auto.conf" | while IFS= read -r line; do
  knows "${line%% = *}" || printf '%s\\n' "${line%% = *}"
done
"""
)
"""$1: the role. Prints names of settings that the new version does not know: they are left out. A name with a dot is an
extension's or an app's own, which every version takes. A dump of an older nftui has its files beside the dump."""

FINISH = (
    _HEAD
    + """
pg_ctl -D "$W/data" -w -t 86400 -m fast stop >/dev/null
pg_controldata "$W/data" | grep -q 'cluster state: *shut down$'
next=$(cat "$W/dump/next-wal" 2>/dev/null || true)
[ -z "$next" ] || pg_resetwal -l "00000001$next" "$W/data" >/dev/null
initdb --sync-only --pgdata="$W/data" >/dev/null
"""
)

"""Its WAL goes on behind the old server's names, as pg_upgrade has it: an archive would hold those already."""

GIVE = _HEAD + 'chown -R "$1" "$W/data"\n'
"""$1: the user that the service runs as, where its files name one. As root."""

LIBRARY = """SELECT max(pg_collation_actual_version(oid)) FROM pg_collation
  WHERE collprovider = 'c' AND collcollate !~ '^(C|POSIX)'"""
"""The version of the C library, the same for all its locales; none where it has no versions (musl)."""

ICU = "SELECT max(pg_collation_actual_version(oid)) FROM pg_collation WHERE collprovider = 'i'"
"""The newest version of ICU's collations; none where the server was built without it."""

TRIAL = (
    """set -eu
export LC_ALL=C
T=/tmp/nftui-trial
rm -rf "$T"
mkdir -p "$T/run"
initdb --pgdata="$T/data" --auth=trust --no-sync --username=postgres >"$T/log" 2>&1 \
 || { tail -n 3 "$T/log" >&2; exit 1; }
pg_ctl -D "$T/data" -w -l "$T/log" -o "-c listen_addresses= -c unix_socket_directories=$T/run -c fsync=off" start \
 >/dev/null || { tail -n 3 "$T/log" >&2; exit 1; }
export PGHOST=$T/run PGUSER=postgres PGDATABASE=postgres
one() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }
postgres --version
[ ! -L /var/lib/postgresql/data ] || echo "linked /var/lib/postgresql/data"
one "SELECT 'extension ' || name FROM pg_available_extensions"
one "SELECT 'setting ' || name FROM pg_settings"
one "CREATE TABLE nftui_trial (a int)"
one "SELECT 'option ' || split_part(unnest(attoptions), '=', 1) FROM pg_attribute
  WHERE attrelid = 'nftui_trial'::regclass AND attnum = 1"
n=0
while [ $# -ge 3 ]; do
  n=$((n + 1))
  one "CREATE DATABASE trial$n TEMPLATE template0 ENCODING '$1' LC_COLLATE '$2' LC_CTYPE '$3'" 2>"$T/why" \
   || echo "locale $1 $2 $3: $(cat "$T/why")"
  shift 3
done
"""
    + f"""one "SELECT 'library ' || coalesce(({LIBRARY}), '')"
one "SELECT 'icu ' || coalesce(({ICU}), '')"
pg_ctl -D "$T/data" -w -m immediate stop >/dev/null
rm -rf "$T"
"""
)
"""Encoding, collation and character type, three by three. Says what the image has, and which of them it cannot make.

The first images of 18 have a link in the place of the former data directory (docker-library/postgres#1360).
"""

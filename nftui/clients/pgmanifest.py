"""What a PostgreSQL server holds, as lines that are equal on two servers which hold the same, whatever their version.

Rows are told by their number and the sum of a hash of each (in any order). These hashes are what hash partitions are
cut by, so they give the same on every version since 11. What extensions bring is left out: it comes with their version.
Passwords are told by a digest.
"""

from __future__ import annotations

_PLAIN = """
SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET bytea_output = 'hex';
SET extra_float_digits = 1; SET search_path = pg_catalog; SET statement_timeout = 0;
"""

_ACL = """
  (SELECT string_agg(x::text, ',' ORDER BY x::text COLLATE "C")
    FROM (SELECT pg_get_userbyid(grantor) g, grantee::regrole r, privilege_type, is_grantable
      FROM aclexplode({acl}) WHERE privilege_type <> 'MAINTAIN') x)
"""
"""Who may do what. MAINTAIN came with 17, where whoever had all has that too."""

CLUSTER = (
    _PLAIN
    + f"""
SELECT 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
  rolconnlimit, coalesce(rolvaliduntil::text, '-'), md5(coalesce(rolpassword, ''))
  FROM pg_authid WHERE rolname !~ '^pg_';
SELECT DISTINCT 'member', m.rolname, 'of', r.rolname, a.admin_option FROM pg_auth_members a
  JOIN pg_authid r ON r.oid = a.roleid JOIN pg_authid m ON m.oid = a.member WHERE m.rolname !~ '^pg_';
SELECT 'setting', coalesce(d.datname, '-'), coalesce(r.rolname, '-'), c FROM pg_db_role_setting s
  LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_authid r ON r.oid = s.setrole, unnest(s.setconfig) c;
SELECT 'database', datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,
  datistemplate, {_ACL.format(acl="coalesce(datacl, acldefault('d', datdba))")}
  FROM pg_database WHERE datname <> 'template0';
"""
)

_MINE = """
  n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' AND NOT EXISTS
  (SELECT FROM pg_depend d WHERE d.classid = '{of}'::regclass AND d.objid = {alias}.oid AND d.deptype = 'e')
"""
_CHUNK = 1 << 20
"""Bytes of a large object that are read at once: one as a whole may be too large for a value."""
_RELATION_ACL = _ACL.format(
    acl="""coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner))"""
)
_CLASS = _MINE.format(of="pg_class", alias="c")

DATABASE = (
    _PLAIN
    + f"""
SELECT 'extension', extname FROM pg_extension;
SELECT 'schema', n.nspname, pg_get_userbyid(n.nspowner),
  {_ACL.format(acl="coalesce(nspacl, acldefault('n', nspowner))")}
  FROM pg_namespace n WHERE {_MINE.format(of="pg_namespace", alias="n")};
SELECT 'relation', c.relkind, n.nspname, c.relname, pg_get_userbyid(c.relowner), c.relpersistence,
  coalesce(array_to_string(c.reloptions, ','), '-'), c.relrowsecurity,
  {_RELATION_ACL}
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'I') AND {_CLASS};
SELECT 'index', n.nspname, c.relname, i.indisunique, i.indisprimary, i.indisvalid, i.indnatts
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indexrelid = c.oid WHERE {_CLASS};
SELECT 'column', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef,
  coalesce((SELECT collname FROM pg_collation WHERE oid = a.attcollation), '-'), {_ACL.format(acl="attacl")}
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {_CLASS};
SELECT 'constraints', o.contype, count(*) FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
  WHERE o.contype <> 'n' AND {_MINE.format(of="pg_constraint", alias="o")} GROUP BY 2;
SELECT 'function', n.nspname, p.proname, p.prokind, p.pronargs, md5(p.prosrc),
  {_ACL.format(acl="coalesce(proacl, acldefault('f', proowner))")} FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_MINE.format(of="pg_proc", alias="p")};
SELECT 'type', n.nspname, t.typname, t.typtype, coalesce((SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder)
  FROM pg_enum WHERE enumtypid = t.oid), '-') FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd', 'r') AND {_MINE.format(of="pg_type", alias="t")};
SELECT 'collation', n.nspname, o.collname, o.collprovider, o.collisdeterministic FROM pg_collation o
  JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {_MINE.format(of="pg_collation", alias="o")};
SELECT 'trigger', tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'policy', polrelid::regclass, polname, polcmd FROM pg_policy;
SELECT 'default-privileges', pg_get_userbyid(defaclrole), coalesce(n.nspname, '-'), defaclobjtype,
  {_ACL.format(acl="defaclacl")} FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace;
SELECT 'large-object', oid, pg_get_userbyid(lomowner), size, {_ACL.format(acl="lomacl")},
  (SELECT sum(hashtextextended(md5(lo_get(o.oid, at, {_CHUNK})), at)) FROM generate_series(0, size, {_CHUNK}) at)
  FROM (SELECT *, coalesce((SELECT pageno::bigint * (current_setting('block_size')::int / 4) + length(data)
    FROM pg_largeobject WHERE loid = m.oid ORDER BY pageno DESC LIMIT 1), 0) size
    FROM pg_largeobject_metadata m) o;
SELECT format('SELECT %L, last_value, is_called FROM %I.%I', format('sequence %I.%I', n.nspname, c.relname), n.nspname,
  c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND {_CLASS}
\\gexec
"""
)

_HASHES = """
  (VALUES (16, 'hashint4extended(%s::int, %s)'), (20, 'hashint8extended(%s, %s)'), (21, 'hashint2extended(%s, %s)'),
    (23, 'hashint4extended(%s, %s)'), (25, 'hashtextextended(%s COLLATE "C", %s)'),
    (1043, 'hashtextextended(%s COLLATE "C", %s)'), (1114, 'timestamp_hash_extended(%s, %s)'),
    (1184, 'timestamp_hash_extended(%s::timestamp, %s)'), (2950, 'uuid_hash_extended(%s, %s)')) hashes (type, call)
"""
"""Types whose hash tells any two values apart that print differently: at a fifth of the cost of printing them. Others,
among them numeric (1.0 and 1.00 hash alike), floats (0 and -0) and what is made from these, are hashed as printed."""

_ROW = f"""
  (SELECT coalesce(string_agg(format('coalesce(' || call || ', %s)', 'r.' || quote_ident(attname), number, number),
      ' # ' ORDER BY number) FILTER (WHERE call IS NOT NULL) || ' # ', '') || coalesce('hashtextextended(ROW(' ||
      string_agg('r.' || quote_ident(attname), ', ' ORDER BY number) FILTER (WHERE call IS NULL) ||
      ')::text COLLATE "C", 0)', '0::bigint')
    FROM (SELECT attname, atttypid, row_number() OVER (ORDER BY attname COLLATE "C") AS number FROM pg_attribute
      WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a LEFT JOIN {_HASHES} ON type = atttypid)
"""
"""One bigint of a row: its columns' hashes, each by a seed of its own, so that none takes another's place."""

ROWS = (
    _PLAIN
    + f"""
SELECT format('SELECT %L, count(*), coalesce(sum(hashint8extended(%s, 0)), 0) FROM ONLY %I.%I r',
  format('rows of %I.%I', nspname, relname), hash, nspname, relname)
  FROM (SELECT n.nspname, c.relname, row_number() OVER (ORDER BY pg_relation_size(c.oid) DESC, c.oid) AS number,
      {_ROW} AS hash
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {_CLASS}) t
  WHERE number % :parts = :part
\\gexec
"""
)
"""Cut over `parts` sessions, the large tables first."""

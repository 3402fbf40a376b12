"""What a PostgreSQL server holds, as lines that are equal on two servers which hold the same, whatever their version.

Rows are told by their number and the sum of a hash of each (in any order). hashtextextended is what hash partitions are
cut by, so it gives the same on every version since 11. What extensions bring is left out: it comes with their version.
Passwords are told by a digest.
"""

from __future__ import annotations

_PLAIN = """
SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET bytea_output = 'hex';
SET extra_float_digits = 1; SET search_path = pg_catalog; SET statement_timeout = 0;
"""

CLUSTER = (
    _PLAIN
    + """
SELECT 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
  rolconnlimit, coalesce(rolvaliduntil::text, '-'), md5(coalesce(rolpassword, ''))
  FROM pg_authid WHERE rolname !~ '^pg_';
SELECT DISTINCT 'member', m.rolname, 'of', r.rolname, a.admin_option FROM pg_auth_members a
  JOIN pg_authid r ON r.oid = a.roleid JOIN pg_authid m ON m.oid = a.member WHERE m.rolname !~ '^pg_';
SELECT 'setting', coalesce(d.datname, '-'), coalesce(r.rolname, '-'), c FROM pg_db_role_setting s
  LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_authid r ON r.oid = s.setrole, unnest(s.setconfig) c;
SELECT 'database', datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,
  datistemplate, (SELECT string_agg(x::text, ',' ORDER BY x::text COLLATE "C")
    FROM (SELECT pg_get_userbyid(grantor) g, grantee::regrole r, privilege_type, is_grantable
      FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))) x) FROM pg_database WHERE datname <> 'template0';
"""
)

_MINE = """
  n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' AND NOT EXISTS
  (SELECT FROM pg_depend d WHERE d.classid = '{of}'::regclass AND d.objid = {alias}.oid AND d.deptype = 'e')
"""
_CLASS = _MINE.format(of="pg_class", alias="c")

DATABASE = (
    _PLAIN
    + f"""
SELECT 'extension', extname FROM pg_extension;
SELECT 'schema', n.nspname, pg_get_userbyid(n.nspowner), (SELECT string_agg(x::text, ',' ORDER BY x::text COLLATE "C")
  FROM (SELECT pg_get_userbyid(grantor) g, grantee::regrole r, privilege_type, is_grantable
    FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner)))) x)
  FROM pg_namespace n WHERE {_MINE.format(of="pg_namespace", alias="n")};
SELECT 'relation', c.relkind, n.nspname, c.relname, pg_get_userbyid(c.relowner), c.relpersistence,
  coalesce(array_to_string(c.reloptions, ','), '-'), c.relrowsecurity
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'I') AND {_CLASS};
SELECT 'index', n.nspname, c.relname, i.indisunique, i.indisprimary, i.indisvalid, i.indnatts
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indexrelid = c.oid WHERE {_CLASS};
SELECT 'column', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef,
  coalesce((SELECT collname FROM pg_collation WHERE oid = a.attcollation), '-')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {_CLASS};
SELECT 'constraints', o.contype, count(*) FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
  WHERE o.contype <> 'n' AND {_MINE.format(of="pg_constraint", alias="o")} GROUP BY 2;
SELECT 'function', n.nspname, p.proname, p.prokind, p.pronargs, md5(p.prosrc) FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_MINE.format(of="pg_proc", alias="p")};
SELECT 'type', n.nspname, t.typname, t.typtype, coalesce((SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder)
  FROM pg_enum WHERE enumtypid = t.oid), '-') FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd', 'r') AND {_MINE.format(of="pg_type", alias="t")};
SELECT 'collation', n.nspname, o.collname, o.collprovider, o.collisdeterministic FROM pg_collation o
  JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {_MINE.format(of="pg_collation", alias="o")};
SELECT 'trigger', tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'policy', polrelid::regclass, polname, polcmd FROM pg_policy;
SELECT 'large-object', oid, pg_get_userbyid(lomowner), md5(lo_get(oid)) FROM pg_largeobject_metadata;
SELECT format('SELECT %L, last_value, is_called FROM %I.%I', format('sequence %I.%I', n.nspname, c.relname), n.nspname,
  c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND {_CLASS}
\\gexec
"""
)

ROWS = (
    _PLAIN
    + f"""
SELECT format('SELECT %L, count(*), coalesce(sum(hashtextextended((r.*)::text COLLATE "C", 0)), 0) FROM ONLY %I.%I r',
  format('rows of %I.%I', nspname, relname), nspname, relname)
  FROM (SELECT n.nspname, c.relname, row_number() OVER (ORDER BY pg_relation_size(c.oid) DESC, c.oid) AS number
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {_CLASS}) t
  WHERE number % :parts = :part
\\gexec
"""
)
"""Cut over `parts` sessions, the large tables first."""

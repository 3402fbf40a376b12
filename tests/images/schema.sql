-- Everything that a dump and restore can get wrong, small.
SET password_encryption = 'md5';
CREATE ROLE old_app LOGIN PASSWORD 'not-a-secret-old';
SET password_encryption = 'scram-sha-256';
CREATE ROLE "New App" LOGIN PASSWORD 'not-a-secret-new' CONNECTION LIMIT 7 VALID UNTIL '2099-01-01';
CREATE ROLE readers NOLOGIN;
GRANT readers TO old_app WITH ADMIN OPTION;
ALTER ROLE old_app SET work_mem = '8MB';
CREATE DATABASE "second db" OWNER "New App" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';
ALTER DATABASE "second db" SET timezone = 'Asia/Ho_Chi_Minh';
ALTER ROLE old_app IN DATABASE "second db" SET search_path = 'shop', 'public';
REVOKE CONNECT ON DATABASE "second db" FROM PUBLIC;
GRANT CONNECT ON DATABASE "second db" TO readers;
ALTER SYSTEM SET log_min_duration_statement = '250ms';
ALTER SYSTEM SET archive_mode = on;
ALTER SYSTEM SET archive_command = '/bin/true';
ALTER SYSTEM SET max_wal_senders = 20;
SELECT pg_reload_conf();
\connect "second db"
CREATE EXTENSION pgcrypto;
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE SCHEMA shop AUTHORIZATION "New App";
CREATE COLLATION shop.german (provider = icu, locale = 'de-u-co-phonebk');
CREATE TYPE shop.state AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN shop.percent AS int CHECK (value BETWEEN 0 AND 100);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "Käufer" text COLLATE shop.german NOT NULL,
    mail citext,
    state shop.state NOT NULL DEFAULT 'new',
    discount shop.percent,
    price numeric(12, 4),
    ratio double precision,
    payload jsonb,
    tags text[],
    attributes hstore,
    blob bytea,
    at timestamptz NOT NULL
);
INSERT INTO shop.orders ("Käufer", mail, state, discount, price, ratio, payload, tags, attributes, blob, at)
SELECT 'Käufer ' || n, 'M' || n || '@Example.com', (ARRAY['new', 'paid', 'sent'])[1 + n % 3]::shop.state, n % 101,
  n / 7.0, n / 3.0, jsonb_build_object('n', n, 'text', repeat('ü', n % 5)), ARRAY['a', NULL, 'c' || n],
  hstore('k', n::text), decode(md5(n::text), 'hex'), timestamptz '2024-02-29 12:00+00' + n * interval '1 minute'
FROM generate_series(1, 3000) n;
CREATE INDEX orders_name ON shop.orders ("Käufer");
CREATE UNIQUE INDEX orders_mail ON shop.orders (mail) WHERE state <> 'new';
CREATE SEQUENCE shop.numbers START 500 INCREMENT 7;
SELECT nextval('shop.numbers') FROM generate_series(1, 11);
CREATE TABLE shop.parts (id int, region text) PARTITION BY HASH (region);
CREATE TABLE shop.parts_0 PARTITION OF shop.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO shop.parts SELECT n, 'region ' || n FROM generate_series(1, 500) n;
CREATE VIEW shop.paid AS SELECT * FROM shop.orders WHERE state = 'paid';
CREATE MATERIALIZED VIEW shop.totals AS SELECT state, count(*) FROM shop.orders GROUP BY 1;
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at = now(); RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.orders FOR SELECT TO readers USING (state = 'paid');
GRANT USAGE ON SCHEMA shop TO readers;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO readers;
GRANT SELECT ON SEQUENCE shop.numbers TO old_app;
SELECT lo_from_bytea(424242, decode(repeat('00ff10', 3000), 'hex'));
ALTER LARGE OBJECT 424242 OWNER TO old_app;
COMMENT ON TABLE shop.orders IS 'it''s a comment';
-- A name that a shell may trip over, and a database less than initdb makes.
CREATE DATABASE "a|b&c\1 'd'";
\connect "a|b&c\1 'd'"
CREATE TABLE odd AS SELECT 1 AS n;
DROP DATABASE postgres;

-- Something to lose: a change that loses data must be seen to lose it.
CREATE TABLE contacts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    note text NOT NULL
);
INSERT INTO contacts (name, note)
SELECT 'contact ' || n, repeat(md5(n::text), 4) FROM generate_series(1, 5000) AS n;
CREATE INDEX contacts_name ON contacts (name);

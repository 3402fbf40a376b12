"""Evidence names the line that the reader has to change, also in commands and lists of several lines."""

from __future__ import annotations

from pathlib import Path

from tests.checks.build import check, read

COMPOSE = """\
services:
  db:
    image: postgres:16
    command:
    - postgres
    # fsync is a word here
    - -c
    - fsync=off
    environment: {fsync: "1"}
  folded:
    image: postgres:16
    command: >
      postgres
        -c 'shared_buffers=128MB'

        -c 'full_page_writes=off'
  plain:
    image: postgres:16
    command: postgres -c fsync=off
  cache:
    image: redis:7
    command: >
      redis-server
      --maxmemory-policy allkeys-lru
      --requirepass hunter2
  job:
    image: acme/job:1
    command:
      - sh
      - -c
      - |
        echo start
        for i in 1 2; do echo "$i"; done
    extra_hosts:
      - "other:host-gateway"
      - "cache:host-gateway"
"""


def test_lines_of_evidence(tmp_path: Path) -> None:
    found = check(read(tmp_path, COMPOSE))
    lines = {
        (service, e.key): e.line
        for (service, id), f in found.items()
        if id in ("postgres-durability-off", "redis-policy-inert", "default-password", "dollar-interpolated",
                  "extra-hosts-override-dns")
        for e in f.evidence
    }  # fmt: skip
    assert lines["db", "-c fsync"] == 8
    assert lines["folded", "-c full_page_writes"] == 16
    assert lines["plain", "-c fsync"] == 19
    assert lines["cache", "--maxmemory-policy"] == 24
    assert lines["cache", "--requirepass"] == 25
    assert lines["job", "$i"] == 33
    assert lines["job", "cache"] == 36


def test_a_database_without_any_mount_is_cited_where_it_begins(tmp_path: Path) -> None:
    found = check(read(tmp_path, "services:\n  a: {image: 'x/a:1'}\n  db:\n    image: postgres:16\n"))
    assert [e.line for e in found["db", "postgres-no-volume"].evidence] == [3]

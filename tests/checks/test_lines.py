"""Evidence names the line that the reader has to change, also in commands and lists of several lines."""

from __future__ import annotations

from pathlib import Path

import pytest

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


_FORMS = {
    "folded": "command: >\n      postgres\n      -c jit=off\n      --shared-buffers=4GB\n    mem_limit: 1g\n",
    "list": 'command:\n      - "-c"\n      - jit=off\n      - -c\n      - shared_buffers=4GB\n    mem_limit: 1g\n',
    "list at the key's depth": "command:\n    - -c\n    - jit=off\n    - -cshared_buffers=4GB\n    mem_limit: 1g\n",
    "flow": 'command: [\n      "postgres",\n      "-c",\n      "shared_buffers=4GB"]\n    mem_limit: 1g\n',
}


@pytest.mark.parametrize("form", _FORMS)
def test_the_line_of_a_setting(tmp_path: Path, form: str) -> None:
    text = f"services:\n  db:\n    image: postgres:16\n    {_FORMS[form]}"
    found = check(read(tmp_path, text))["db", "postgres-settings-exceed-limit"].evidence[0]
    assert found.key == "-c shared_buffers"
    assert found.line is not None and "buffers" in text.splitlines()[found.line - 1]


def test_the_word_is_looked_for_in_its_own_value_only(tmp_path: Path) -> None:
    script = "command: |\n      for i in 1 2; do\n        echo $i; done\n    labels: {x: $i}\n"
    text = f"services:\n  a:\n    image: x/a:1\n    {script}"
    found = check(read(tmp_path, text))["a", "dollar-interpolated"].evidence
    assert [e.line for e in found] == [6]
    single = "services:\n  a:\n    image: x/a:1\n    entrypoint: [sh, -c, 'for i in 1 2; do echo $$i ${i}; done']\n"
    assert [e.line for e in check(read(tmp_path, single))["a", "dollar-interpolated"].evidence] == [4]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", ["image: {long}", "command: postgres -c a={long}", 'volumes: ["{long}:/x"]'])
def test_very_long_lines_are_read_once(tmp_path: Path, line: str) -> None:
    """Matched or copied anew from every character, each of them would take minutes."""
    more = "" if line.startswith("image") else "    image: postgres:16\n"
    text = "services:\n  db:\n    restart: always\n" + more + "    " + line.format(long="a1-b.c" * 50_000) + "\n"
    assert ("db", "limits-missing" if more else "image-floating-tag") in check(read(tmp_path, text))


def test_a_mount_beside_the_data_is_named_with_what_is_mounted(tmp_path: Path) -> None:
    compose = "services:\n  db:\n    image: postgres:18\n    volumes:\n      - data:/var/lib/postgresql/data\n"
    found = check(read(tmp_path, f"{compose}volumes:\n  data:\n"))["db", "postgres-volume-path"]
    assert [(e.key, e.value, e.line) for e in found.evidence] == [("/var/lib/postgresql/data", "data", 5)]


def test_an_option_of_the_entrypoint_is_cited_there(tmp_path: Path) -> None:
    options = "    - redis-server\n    - --maxmemory-policy\n    - allkeys-lru\n"
    compose = f"services:\n  r:\n    image: redis:7\n    entrypoint:\n{options}"
    found = check(read(tmp_path, compose))["r", "redis-policy-inert"].evidence
    assert ("--maxmemory-policy", 6) in [(e.key, e.line) for e in found]

"""Evidence cites the line of the flag itself, in every form in which a command is written over several lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.build import check, read

_FORMS = {
    "folded": "command: >\n      postgres\n      -c jit=off\n      --shared-buffers=4GB\n    mem_limit: 1g\n",
    "list": 'command:\n      - "-c"\n      - max_connections=100\n      - shared_buffers=4GB\n    mem_limit: 1g\n',
    "list at the key's depth": "command:\n    - -c\n    - jit=off\n    - -cshared_buffers=4GB\n    mem_limit: 1g\n",
    "flow": 'command: [\n      "postgres",\n      "-c",\n      "shared_buffers=4GB"]\n    mem_limit: 1g\n',
}


@pytest.mark.parametrize("form", _FORMS)
def test_the_line_of_a_setting(tmp_path: Path, form: str) -> None:
    text = f"services:\n  db:\n    image: postgres:16\n    {_FORMS[form]}"
    text = text.replace("      - max_connections=100\n", '      - max_connections=100\n      - "-c"\n')
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

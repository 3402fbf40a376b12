"""The unit for recovery at boot: its words as systemd reads them, and whether one is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nftui.system import bootunit


def test_every_word_of_the_command_is_one_word_for_systemd() -> None:
    command = ["/usr/bin/python3", "recover", "/srv/my app", 'a"b', "100%", "$HOME", "a\\b", "it's", ""]
    text = bootunit.unit_text("app", "/srv/my app", command, ("/srv/my app", "/var/lib/nftui"))
    line = next(ln for ln in text.splitlines() if ln.startswith("ExecStart="))
    assert line == (
        'ExecStart=/usr/bin/python3 recover "/srv/my app" "a\\"b" 100%% "$$HOME" "a\\\\b" "it\'s" ""'
    )  # fmt: skip
    assert 'RequiresMountsFor="/srv/my app" /var/lib/nftui' in text and "{" not in text
    assert "After=docker.service" in text and "nftui-recover-app.service" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_itself_finds_nothing_to_object_to(tmp_path: Path) -> None:
    unit = tmp_path / "nftui-recover-app.service"
    unit.write_text(bootunit.unit_text("app", str(tmp_path), ["/bin/true", "a b"], (str(tmp_path),)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert unit.name not in done.stderr, done.stderr


def test_only_an_enabled_unit_of_this_project_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootunit, "_roots", lambda: (tmp_path,))
    project = str(tmp_path / "app")
    unit = tmp_path / "nftui-recover-app.service"
    unit.write_text(bootunit.unit_text("app", project, ["/bin/true"], (project,)))
    assert not bootunit.unit_installed(project), "it is not enabled"
    wants = tmp_path / "multi-user.target.wants"
    wants.mkdir()
    (wants / unit.name).symlink_to(unit)
    assert bootunit.unit_installed(project) and not bootunit.unit_installed(str(tmp_path))

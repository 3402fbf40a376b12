"""Who is at work: through sudo and SSH, also where sudo dropped SSH's variables on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from nftui.system.who import user_name, who

ASK = "import json; from nftui.system.who import who; print(json.dumps(who({})))"
SSH = "192.0.2.7 4711 192.0.2.1 22"


def test_sudo_and_ssh_are_told() -> None:
    found = who({"SUDO_USER": "ann", "SSH_CONNECTION": SSH, "SSH_TTY": "/dev/pts/3", "LOGNAME": "someone else"})
    assert found["user"] == user_name(os.geteuid()) and found["sudo_user"] == "ann"
    assert (found["ssh_connection"], found["from"], found["ssh_tty"]) == (SSH, "192.0.2.7", "/dev/pts/3")


def test_ssh_is_found_behind_a_parent_that_dropped_it() -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "SUDO_"))}
    python = f"{sys.executable} -P -c '{ASK}'"
    command = ["bash", "-c", f'env -u SSH_CONNECTION bash -c "exec env -i PYTHONPATH=$PYTHONPATH {python}"; true']
    env = {**clean, "SSH_CONNECTION": SSH, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    found = json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert found["from"] == "192.0.2.7"


def test_a_user_without_a_name() -> None:
    assert (user_name(0), user_name(3999999999)) == ("root", "uid 3999999999")

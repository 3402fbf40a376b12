"""Python imports this at its start where this folder is on its path: the worker's faults are planted from outside.

Nothing in nftui knows of it: what is tested is the program that ships.
"""

import os
import sys
from pathlib import Path

if os.environ.get("NFTUI_TEST_BOOT_ID"):
    from nftui.system import clock

    clock._BOOT_ID = Path(os.environ["NFTUI_TEST_BOOT_ID"])

if os.environ.get("NFTUI_TEST_FAULT") and "nftui.guardian" in sys.orig_argv:
    from tests.crash.injector import plant

    plant(os.environ["NFTUI_TEST_FAULT"])

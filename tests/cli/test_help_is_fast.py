"""--help answers at once: no command imports numpy, OpenCV or torch before its flags are parsed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted({path.name for path in ROOT.glob("*.py")} - {"models.py"})
SLOW = ("numpy", "cv2", "torch", "matplotlib")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_waits_for_no_large_package(command):
    code = (f"import sys, runpy; sys.argv = [{command!r}, '--help']\n"
            f"try: runpy.run_path({command!r}, run_name='__main__')\n"
            f"except SystemExit as stop: code = stop.code or 0\n"
            f"sys.exit(code or ' '.join(name for name in {SLOW!r} if name in sys.modules) or 0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr[-500:]
    assert done.stdout.startswith("usage: ")

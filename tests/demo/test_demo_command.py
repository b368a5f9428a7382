"""`bertriton demo`, from the checkpoint to the last answer."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_demo_exports_serves_classifies_and_leaves_nothing_running() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bertriton", "demo"], capture_output=True, text=True, check=True
    )

    lines = done.stdout.splitlines()
    assert lines[0].startswith("exported imdb: logits within ")
    assert lines[1].startswith("Triton is serving it at 127.0.0.1:")
    assert sum(line.startswith("│") for line in lines) == 12
    (right,) = re.findall(r"^(\d+) of 200 right", done.stdout, re.MULTILINE)
    assert int(right) > 150
    assert lines[-1].startswith("Triton has stopped.")


def test_without_its_model_the_demo_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['bertriton_imdb'] = None; sys.argv = ['bertriton', 'demo']; "
        "from bertriton.__main__ import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "bertriton_imdb is not installed: pip install 'bertriton[demo]'" in done.stderr

"""Time and peak memory of an export from each format, at the shape of BERT-base.

    python bench/comparisons/readers.py FOLDER [--layers 12 --hidden 768] [--precision fp32]

FOLDER gets the same random weights in every format (a few gigabytes). Each export runs in a process of its
own; memory is the largest resident set, pages of mapped files included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from make_checkpoint import make_checkpoint
from safetensors.numpy import load_file
from write_formats import write_checkpoint, write_h5, write_onnx, write_sparknlp, write_torch

# The kernel's own high-water mark of the process; wait4's would count what this one held when it forked.
EXPORT = """
import re, sys
from pathlib import Path
from bertriton_export import export

export(sys.argv[1], name="benchmark", repository=sys.argv[2], precision=sys.argv[3])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
FORMATS = ("safetensors", "pytorch_model.bin", "tf_model.h5", "variables", "model.onnx", "sparknlp.zip")
MAX_SECONDS = 20.0
MAX_TIMES_WEIGHTS = 3.0
BYTES_PER_MB = 10**6
BYTES_PER_RSS_UNIT = 1024  # what Linux calls kB


def write_formats(folder: Path, layers: int, hidden: int) -> int:
    """Write all checkpoints; the size of the weights in bytes."""
    safetensors = folder / "safetensors"
    make_checkpoint(safetensors, layers=layers, hidden=hidden)
    weights = load_file(safetensors / "model.safetensors")
    writers = {
        "pytorch_model.bin": write_torch,
        "tf_model.h5": write_h5,
        "model.onnx": write_onnx,
        "variables": write_checkpoint,
    }
    for name, write in writers.items():
        place = folder / name
        shutil.copytree(
            safetensors, place, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True
        )
        write(weights, place / name)
    heads = json.loads((safetensors / "config.json").read_text(encoding="utf-8"))["num_attention_heads"]
    write_sparknlp(weights, heads, folder / "sparknlp.zip")
    os.sync()  # or the first measurement waits for all that was written
    return (safetensors / "model.safetensors").stat().st_size


def measure(checkpoint: Path, repository: Path, precision: str) -> tuple[float, int]:
    """Seconds and largest resident set in bytes of one export."""
    command = [sys.executable, "-c", EXPORT, checkpoint, repository, precision]
    started = time.monotonic()
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (its own command)
    return time.monotonic() - started, int(result.stdout) * BYTES_PER_RSS_UNIT


def main() -> None:
    """Print a line a format, and whether the limits hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--precision", default="fp32")
    arguments = parser.parse_args()
    size = write_formats(arguments.folder, arguments.layers, arguments.hidden)
    print(
        f"{size / BYTES_PER_MB:.0f} MB of weights; limits: {MAX_SECONDS} s, {MAX_TIMES_WEIGHTS} x the weights"
    )
    for name in FORMATS:
        seconds, memory = measure(
            arguments.folder / name, arguments.folder / "repository", arguments.precision
        )
        verdict = "ok" if seconds < MAX_SECONDS and memory < MAX_TIMES_WEIGHTS * size else "OVER"
        print(
            f"{name:20} {seconds:6.1f} s {memory / BYTES_PER_MB:8.0f} MB {memory / size:5.2f} x  {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Records terminal.svg from a real run: export the embedded model, serve it, classify two texts.

    python docs/pictures/terminal.py

The ports 8000 to 8002 must be free. The picture names no font of another host, so that a page that shows it
asks nobody for anything.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = Path(__file__).with_suffix(".svg")
COLUMNS: Final = 88
EXPORT: Final = "bertriton export checkpoints/imdb-minilm --name imdb"
SERVE: Final = "bertriton serve"
CLASSIFY: Final = 'bertriton classify "What a lovely film." "Two hours of my life, gone."'
LAST_LINE_OF_SERVE: Final = "models"
FONTS_OF_OTHERS: Final = re.compile(r"\s*@font-face \{\{.*?\}\}\n", re.DOTALL)


def main() -> None:
    """Run the three commands and write the picture."""
    screen = Console(record=True, width=COLUMNS, file=sys.stdout, force_terminal=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoints").symlink_to(ROOT / "checkpoints")
        show(screen, EXPORT, lines_of(EXPORT, folder))
        server, lines = started(SERVE, folder)
        shown = []
        try:
            for line in lines:
                shown.append(line)
                if LAST_LINE_OF_SERVE in line:
                    break
            show(screen, f"{SERVE} &", shown)
            show(screen, CLASSIFY, lines_of(CLASSIFY, folder))
        finally:
            server.terminate()
            server.wait()
    screen.save_svg(str(PICTURE), title="bertriton", code_format=without_fonts_of_others())


def show(screen: Console, command: str, lines: list[str]) -> None:
    """Print a command as it was typed, and what came of it."""
    screen.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    for line in lines:
        screen.print(Text.from_ansi(line), soft_wrap=False)


def lines_of(command: str, folder: str) -> list[str]:
    """What a command prints on a terminal."""
    process, lines = started(command, folder)
    printed = list(lines)
    if process.wait():
        raise SystemExit(f"{command}: exit status {process.returncode}")
    return printed


def started(command: str, folder: str) -> tuple[subprocess.Popen[bytes], Iterator[str]]:
    """A command that runs with a terminal as its output, and the lines that it prints there."""
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    words = [sys.executable, "-m", *shlex.split(command)]
    process = subprocess.Popen(  # noqa: S603  # the commands above
        words, cwd=folder, env=environment, stdin=its, stdout=its, stderr=subprocess.DEVNULL
    )
    os.close(its)
    return process, printed_lines(ours)


def printed_lines(terminal: int) -> Iterator[str]:
    """Lines as they come, until the other side has closed."""
    with open(terminal, encoding="utf-8", newline="\n") as file:  # a descriptor
        try:
            for line in file:
                yield line.rstrip("\r\n")
        except OSError:  # Linux' word for the end of a terminal
            return


def without_fonts_of_others() -> str:
    """Rich's frame of a terminal, less the web font."""
    frame: str = signature(Console.save_svg).parameters["code_format"].default
    return FONTS_OF_OTHERS.sub("", frame).replace("Fira Code", "ui-monospace")


if __name__ == "__main__":
    main()

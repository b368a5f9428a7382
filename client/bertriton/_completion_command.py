"""`bertriton completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from bertriton.cli import PROGRAM, bertriton

_SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = f"_{PROGRAM.upper()}_COMPLETE"  # click looks for its requests there


@click.command(name="completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL; in bash: eval "$(bertriton completion bash)"."""
    completion = get_completion_class(shell)
    if completion is None:
        raise click.ClickException(f"click cannot complete in {shell}")
    # The script alone is asked for; click runs `bash --version` only when it completes.
    click.echo(completion(bertriton, {}, PROGRAM, _VARIABLE).source())

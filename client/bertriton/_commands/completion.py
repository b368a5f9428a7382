"""`bertriton completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from bertriton._commands.standard_output import require_standard_output

_SHELLS: Final = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; in bash: eval "$(bertriton completion bash)"."""
    require_standard_output()
    completion = get_completion_class(shell)
    if completion is None:
        raise click.ClickException(f"click cannot complete in {shell}")
    program = ctx.find_root()
    name = str(program.info_name)
    variable = f"_{name.upper()}_COMPLETE"  # click looks for its requests there
    # The script alone is asked for; click runs `bash --version` only when it completes.
    click.echo(completion(program.command, {}, name, variable).source())

"""`bertriton doctor`: what a bug report needs, and what would be slow or unsafe here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bertriton_server.errors import ServerError
from bertriton_server.examination import SLOW, UNSAFE, WRONG, Examination, Place, examine
from bertriton_server.local_server import LOOPBACK
from bertriton_server.options import (
    GRPC_PORT,
    HTTP_PORT,
    METRICS_PORT,
    MODEL_REPOSITORY,
    port_option,
    server_option,
)
from bertriton_server.process import ipv4_address

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS: Final = {WRONG: "red", UNSAFE: "red", SLOW: "yellow"}
_NAME_CELLS: Final = 17


@click.command("doctor")
@server_option("--json", "as_json", is_flag=True, show_default=False, help="Print JSON.")
@server_option(
    "--model-repository",
    type=click.Path(path_type=Path),
    default=MODEL_REPOSITORY,
    help="Model repository to look at.",
)
@server_option("--host", default=LOOPBACK, help="Name or IPv4 address to check the ports of.")
@port_option("--http-port", default=HTTP_PORT, help="HTTP port to check.")
@port_option("--grpc-port", default=GRPC_PORT, help="gRPC port to check.")
@port_option("--metrics-port", default=METRICS_PORT, help="Metrics port to check.")
def doctor_command(
    *, as_json: bool, model_repository: Path, host: str, http_port: int, grpc_port: int, metrics_port: int
) -> None:
    """Print what a bug report needs: versions, machine, GPUs, runtime, ports, and concerns.

    A concern is something that would be slow, unsafe or wrong here, with what to do about it. Nothing is
    started, installed or changed. Keys and tokens are not shown.
    """
    if sys.stdout is None:  # as Python says of one that is closed
        raise click.UsageError("standard output is closed: open it, or send it to a file")
    ports = {"gRPC": grpc_port, "HTTP": http_port, "metrics": metrics_port}
    try:
        found = examine(Place(ipv4_address(host), ports, model_repository))
    except ServerError as exc:
        raise click.ClickException(exc.summary) from exc
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: Examination) -> Iterator[str]:
    everything = found.to_dict()
    yield from _section("bertriton", {"python": f"{everything['python']}, {everything['interpreter']}"})
    yield from _fields({name: version or "not installed" for name, version in found.packages.items()})
    yield from _section("machine", _machine(found))
    runtime = found.runtime
    yield from _section(
        "runtime", {"tritonserver": ", ".join(filter(None, [runtime.kind, runtime.place, runtime.detail]))}
    )
    yield from _section("ports", {f"{port.service} {port.port}": port.state for port in found.ports})
    yield from _section("environment", found.settings or {"BERTRITON_": "nothing set"})
    yield _title("concerns")
    if not found.concerns:
        yield f"  {click.style('none', fg='green')}"
    for concern in found.concerns:
        kind = click.style(concern.kind.ljust(7), fg=_COLOURS[concern.kind], bold=True)
        yield f"  {kind} {concern.what}: {concern.advice}"


def _machine(found: Examination) -> dict[str, str]:
    machine, limits = found.machine, found.limits
    told = []
    if limits.cpus is not None:
        told.append(f"{limits.cpus:g} CPUs")
    if limits.memory_gib is not None:
        told.append(f"{limits.memory_gib:.1f} GiB")
    if limits.open_files is not None:
        told.append(f"{limits.open_files:,} open files")
    if limits.shared_memory_mib is not None:
        told.append(f"{limits.shared_memory_mib:,.0f} MiB free in /dev/shm")
    return {
        "system": machine.system,
        "processor": f"{machine.processor}, {machine.cores} cores",
        "flags": ", ".join(machine.cpu_flags) or "none known",
        "memory": f"{machine.memory_gib:.1f} GiB",
        "limits": ", ".join(told) or "none",
        "GPUs": "; ".join(found.gpus) or "none",
    }


def _section(title: str, fields: dict[str, str]) -> Iterator[str]:
    yield _title(title)
    yield from _fields(fields)


def _title(title: str) -> str:
    return click.style(title, bold=True)


def _fields(fields: dict[str, str]) -> Iterator[str]:
    for name, value in fields.items():
        yield f"  {click.style(name.ljust(_NAME_CELLS), dim=True)} {value}"

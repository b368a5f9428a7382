"""What would be slow, unsafe or go wrong here, and what to do about it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bertriton_server.cpu_fit import FEATURE_TO_FLAGS
from bertriton_server.examination.findings import TAKEN_BY_TRITON
from bertriton_server.process import MIN_OPEN_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bertriton_server.cpu_fit import Misfit
    from bertriton_server.examination.findings import Limits, Port, RuntimeFound
    from bertriton_server.machine import Machine

SLOW: Final = "slow"
UNSAFE: Final = "unsafe"
WRONG: Final = "wrong"

_MIN_MEMORY_GIB: Final = 2.0
_MIN_SHARED_MEMORY_MIB: Final = 64.0  # docker's default; Triton's Python backend takes 1 MiB a model and more
_LOOPBACKS: Final = ("127.0.0.1", "localhost")
_PROXY_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy")


@dataclass(frozen=True)
class Concern:
    """Something that is not as it should be."""

    kind: str  # SLOW, UNSAFE or WRONG
    what: str
    advice: str


def of_speed(machine: Machine, limits: Limits, gpus: Sequence[str]) -> Iterator[Concern]:
    """What makes answers slow."""
    flags = set(machine.cpu_flags)
    if "avx2" not in flags:
        yield Concern(
            SLOW, "this CPU has no AVX2", "serve elsewhere: every answer takes several times as long"
        )
    elif not flags & FEATURE_TO_FLAGS["vnni"]:
        yield Concern(
            SLOW,
            "this CPU has no VNNI",
            "serve elsewhere if speed counts: here int8 is as right, but only 1.6 times as fast as fp32",
        )
    if machine.cores == 1:
        yield Concern(
            SLOW, "one core does all", "allow two or more: tokenizer and network then work side by side"
        )
    if limits.cpus is not None and limits.cpus < machine.cores:
        yield Concern(
            SLOW,
            f"the container may use {limits.cpus:g} CPUs and sees {machine.cores}",
            "raise its limit, or pin it to so many cores",
        )
    if gpus and not any(name.startswith("nvidia-smi") for name in gpus):
        yield Concern(SLOW, "the Triton from pip uses no GPU", "serve on this GPU in NVIDIA's container")


def of_networks(misfits: Iterable[Misfit]) -> Iterator[Concern]:
    """What was exported for another kind of CPU."""
    for misfit in misfits:
        yield Concern(WRONG, misfit.what, misfit.advice)


def of_resources(machine: Machine, limits: Limits) -> Iterator[Concern]:
    """What may be too little."""
    memory_gib = min(machine.memory_gib, limits.memory_gib or machine.memory_gib)
    if memory_gib < _MIN_MEMORY_GIB:
        yield Concern(WRONG, f"{memory_gib:.1f} GiB of memory", f"allow {_MIN_MEMORY_GIB:g} GiB or more")
    if limits.open_files is not None and limits.open_files < MIN_OPEN_FILES:
        yield Concern(
            WRONG, f"{limits.open_files} files may be open", f"allow {MIN_OPEN_FILES}: see `ulimit -Hn`"
        )
    if limits.shared_memory_mib is not None and limits.shared_memory_mib < _MIN_SHARED_MEMORY_MIB:
        yield Concern(
            WRONG,
            f"{limits.shared_memory_mib:.0f} MiB free under /dev/shm",
            "make room there, or start the container with --shm-size 1g",
        )


def of_runtime(runtime: RuntimeFound, ports: Sequence[Port]) -> Iterator[Concern]:
    """What keeps a server from starting."""
    if runtime.kind == "none":
        yield Concern(WRONG, "there is no tritonserver", runtime.detail)
    # A Triton among them is most often the user's own, which has all three; gRPC does not tell whose it is.
    may_be_own = "leave it if it is your own server, else " if any(map(_is_of_triton, ports)) else ""
    for port in ports:
        if port.state != "free":
            yield Concern(
                WRONG,
                f"port {port.port} is {port.state}",
                f"{may_be_own}stop what listens there, or give --{port.service.lower()}-port",
            )


def _is_of_triton(port: Port) -> bool:
    return port.state == TAKEN_BY_TRITON


def of_safety(host: str, repository: Path, environment: Mapping[str, str] = os.environ) -> Iterator[Concern]:
    """What others may do to a server here."""
    guarded = any(environment.get(f"BERTRITON_{name}") for name in ("API_KEY", "TLS_CLIENT_CA"))
    if host not in _LOOPBACKS and not guarded:
        yield Concern(
            UNSAFE,
            f"everybody who reaches {host} may ask the server",
            "set BERTRITON_API_KEY, or --tls-client-ca",
        )
    if os.geteuid() == 0:
        yield Concern(UNSAFE, "a server started here runs as root", "start it as a user of its own")
    # Whoever writes there has their Python run by the server.
    for folder in _writable_by_all(repository):
        yield Concern(
            UNSAFE, f"every user may write to {folder}, which holds code", f"chmod -R o-w {repository}"
        )
    proxies = [name for name in _PROXY_VARIABLES if environment.get(name)]
    if proxies and not environment.get("no_proxy") and not environment.get("no_grpc_proxy"):
        yield Concern(
            UNSAFE,
            f"{proxies[0]} sends texts for other machines through a proxy",
            "name the server in no_proxy, if it is one of yours",
        )


def _writable_by_all(repository: Path) -> Iterator[Path]:
    folders = [repository, *sorted(repository.glob("*"))]
    for folder in folders:
        try:
            mode = folder.stat().st_mode
        except OSError:  # it is not there
            continue
        if stat.S_ISDIR(mode) and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield folder
            return  # one says it all

"""What is slow or too little is told, and a good machine gets no word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bertriton_server.examination.concerns import SLOW, WRONG, of_resources, of_speed
from bertriton_server.examination.findings import Limits
from bertriton_server.machine import Machine

GOOD = Machine("one", 8, ("avx2", "avx512f", "avx512_vnni"), 32.0, "Linux", "3.12", {})
NONE = Limits(cpus=None, memory_gib=None, open_files=None, shared_memory_mib=None)


@pytest.mark.parametrize(
    ("machine", "limits", "gpus", "what"),
    [
        (GOOD, NONE, (), None),
        (replace(GOOD, cpu_flags=("avx2",)), NONE, (), "this CPU has no VNNI"),
        (replace(GOOD, cpu_flags=()), NONE, (), "this CPU has no AVX2"),
        (replace(GOOD, cores=1), NONE, (), "one core does all"),
        (GOOD, replace(NONE, cpus=1.5), (), "the container may use 1.5 CPUs and sees 8"),
        (GOOD, NONE, ("NVIDIA L4, 23034 MiB, 550.54",), "the Triton from pip uses no GPU"),
        (GOOD, NONE, ("nvidia-smi fails: no driver",), None),
    ],
)
def test_what_makes_answers_slow(
    machine: Machine, limits: Limits, gpus: tuple[str, ...], what: str | None
) -> None:
    found = list(of_speed(machine, limits, gpus))

    assert [what] * (what is not None) == [concern.what for concern in found]
    assert all(concern.kind == SLOW and concern.advice for concern in found)


@pytest.mark.parametrize(
    ("machine", "limits", "what"),
    [
        (GOOD, Limits(4.0, 8.0, 1024, 64.0), None),
        (replace(GOOD, memory_gib=1.0), NONE, "1.0 GiB of memory"),
        (GOOD, replace(NONE, memory_gib=0.5), "0.5 GiB of memory"),
        (GOOD, replace(NONE, open_files=255), "255 files may be open"),
        (GOOD, replace(NONE, shared_memory_mib=63.0), "63 MiB free under /dev/shm"),
    ],
)
def test_what_is_too_little(machine: Machine, limits: Limits, what: str | None) -> None:
    found = list(of_resources(machine, limits))

    assert [what] * (what is not None) == [concern.what for concern in found]
    assert all(concern.kind == WRONG and concern.advice for concern in found)

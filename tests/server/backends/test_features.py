"""How the stand-in for the ONNX Runtime backend multiplies int8 on this or that CPU.

`sessions.py` is loaded as Triton does it, by its folder, with what Triton gives it in memory.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import bertriton_server

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(bertriton_server.__file__).parent / "backends" / "onnxruntime"
MODULES = ("sessions", "features", "cores")
CPU_INFO = "processor\t: 0\nflags\t\t: fpu sse2 {}\nbugs\t\t:\n"


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", SimpleNamespace())
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("sessions")
    for name in MODULES:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("flags", "is_set"),
    [
        ("avx2 avx512f avx512_vnni", False),
        ("avx2 avx_vnni", False),
        ("avx2 avx512f amx_tile amx_int8", False),
        ("avx2 avx512f", True),
        ("avx2 avx_vnni_int16", True),
    ],
)
def test_only_a_cpu_without_vnni_is_told_to_multiply_exactly(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, *, is_set: bool
) -> None:
    """Where it has it, ONNX Runtime takes twice the time when told so, for the same answers."""
    file = tmp_path / "cpuinfo"
    file.write_text(CPU_INFO.format(flags))
    monkeypatch.setattr(sys.modules["features"], "CPU_INFO", file)

    options = sessions.make_session_options({}, {"enable_mem_arena": "0"}, 1)

    if is_set:
        assert options.get_session_config_entry(sessions.PRECISION_KEY) == "1"
    else:
        with pytest.raises(RuntimeError, match=sessions.PRECISION_KEY):
            options.get_session_config_entry(sessions.PRECISION_KEY)


def test_weights_that_fit_every_cpu_need_no_other_kernel(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(CPU_INFO.format("avx2"))
    monkeypatch.setattr(sys.modules["features"], "CPU_INFO", file)

    parameters = {"enable_mem_arena": "0", "exact_on_any_cpu": "1"}
    options = sessions.make_session_options({}, parameters, 1)

    with pytest.raises(RuntimeError, match=sessions.PRECISION_KEY):
        options.get_session_config_entry(sessions.PRECISION_KEY)


def test_where_the_cpu_tells_nothing_products_are_exact(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.modules["features"], "CPU_INFO", tmp_path / "none")

    options = sessions.make_session_options({}, {"enable_mem_arena": "0"}, 1)

    assert options.get_session_config_entry(sessions.PRECISION_KEY) == "1"

"""`serve` tells on the terminal which networks were exported for another kind of CPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bertriton_server.cpu_fit import misfits

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The config that the exporter writes for CPUs with VNNI, beside one that asks for nothing."""
    for name in ("imdb_bert", "imdb_tokenizer"):
        (tmp_path / name).mkdir()
        shutil.copyfile(ROOT / "model_repository" / name / "config.pbtxt", tmp_path / name / "config.pbtxt")
    return tmp_path


@pytest.mark.parametrize(
    ("cpuinfo", "is_fit"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", False),
    ],
)
def test_a_network_for_other_cpus_is_told_with_what_to_do(
    repository: Path, tmp_path: Path, cpuinfo: str, *, is_fit: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")

    found = list(misfits(repository, tmp_path / "cpuinfo"))

    assert len(found) == (not is_fit)
    for misfit in found:
        assert str(misfit).startswith("imdb_bert was exported for CPUs with vnni, and this one has none")
        assert "export it on this machine, or with --no-vnni" in str(misfit)


def test_a_repository_without_configs_asks_for_no_cpu(tmp_path: Path) -> None:
    assert list(misfits(tmp_path)) == []

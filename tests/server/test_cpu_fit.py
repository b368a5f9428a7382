"""`serve` tells on the terminal which networks were exported for another kind of CPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bertriton_server.cpu_fit import misfits

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A config that the exporter once wrote for CPUs with VNNI, beside those that it writes today."""
    for name in ("imdb_bert", "imdb_tokenizer"):
        (tmp_path / name).mkdir()
        shutil.copyfile(ROOT / "model_repository" / name / "config.pbtxt", tmp_path / name / "config.pbtxt")
    (tmp_path / "older_bert").mkdir()
    (tmp_path / "older_bert" / "config.pbtxt").write_text(
        'parameters {\n  key: "cpu_feature"\n  value {\n    string_value: "vnni"\n  }\n}\n'
    )
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
        assert str(misfit).startswith("older_bert was exported for CPUs with vnni, and this one has none")
        assert "export it again" in str(misfit)


def test_a_repository_without_configs_asks_for_no_cpu(tmp_path: Path) -> None:
    assert list(misfits(tmp_path)) == []

"""The distribution: what it holds, what it needs, and the house rules that a machine can check."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import venv
import zipfile
from email import message_from_string
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from bertriton import __version__

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "bertriton",
    "bertriton_bench",
    "bertriton_demo",
    "bertriton_evaluate",
    "bertriton_export",
    "bertriton_nlu",
    "bertriton_server",
    "bertriton_spark",
    "bertriton_ui",
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_FUNCTION_LINES = 10
MAX_README_LINES = 150
MAX_WHEEL_BYTES = 100 << 20  # what PyPI takes
MAX_TOKENIZER_MODEL_LINES = 160
# Marks of what is to be done later, taken apart here so that this file is not found itself.
LATER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT_SUFFIXES = {".md", ".py", ".sh", ".toml", ".yaml", ".yml"}
NOT_RUN = {"expectedFailure", "importorskip", "skip", "skipTest", "skipif", "xfail"}  # of a test
# The one place that skips: what a machine lacks, with the reason, and never where CI could have it.
MAY_BE_SKIPPED = {"tests/machine/needs.py": ["pytest.skip"]}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What the SDK alone may bring: tritonclient[grpc], numpy, and what those two need.
BASE_DISTRIBUTIONS = {
    "bertriton",
    "grpcio",
    "ml_dtypes",
    "numpy",
    "packaging",
    "protobuf",
    "python-rapidjson",
    "tritonclient",
    "typing_extensions",
    "urllib3",
}


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(opened.read(name).decode())


def required_by(metadata: Message, extra: str) -> list[str]:
    requirements = [line.partition(";") for line in metadata.get_all("Requires-Dist", [])]
    return [name.strip() for name, _, marker in requirements if f"extra == '{extra}'" in marker]


def tracked_files(suffix: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", f"*{suffix}"], cwd=ROOT, capture_output=True, check=True
    )
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (file,) = folder.glob("*.whl")
    return file


def test_wheel_holds_the_packages_and_what_they_ship(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert set(PACKAGES) == tops
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {
        "bertriton_export/repository/triton/model.py",
        "bertriton_export/repository/triton/rows.py",
        "bertriton_export/targets/tensorrt/build_engine.sh",
        "bertriton_export/int8/calibration_reviews.txt",
        "bertriton_export/int8/judging_reviews.txt",
        "bertriton_export/verification/sample_reviews.txt",
        "bertriton_export/targets/tensorrt/operators.json",
        "bertriton_server/backends/onnxruntime/model.py",
        "bertriton_ui/static/page.html",
        "bertriton_ui/static/page.js",
    } <= names


def test_plain_install_brings_the_sdk_alone(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    pip = [python, "-m", "pip"]
    constraints = ["--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, "install", "--quiet", *constraints, wheel], check=True)

    listing = subprocess.run(
        [*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    installed = {line.split("==")[0] for line in listing.split()} - {"pip", "setuptools"}
    assert BASE_DISTRIBUTIONS == installed
    help_text = subprocess.run([tmp_path / "bin" / "bertriton"], capture_output=True, text=True, check=False)
    assert help_text.returncode == 1
    assert "pip install 'bertriton[cli]'" in help_text.stderr


def test_sdk_imports_neither_exporter_nor_server_nor_what_they_need() -> None:
    heavy = [
        "onnx",
        "onnxruntime",
        "tokenizers",
        "safetensors",
        "matplotlib",
        "sklearn",
        "pandas",
        "pyspark",
        "click",
        "rich",
        *PACKAGES[1:],
    ]
    script = f"import sys, bertriton; print([name for name in {heavy} if name in sys.modules])"

    found = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_server_imports_neither_of_the_other_packages() -> None:
    for file in (ROOT / "server").rglob("*.py"):
        imported = re.findall(
            r"^\s*(?:from|import) (bertriton\w*)", file.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert set(imported) <= {"bertriton_server"}, file


def test_files_and_functions_keep_their_size() -> None:
    lengths = []
    for file in tracked_files(".py"):
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= MAX_FILE_LINES, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, FUNCTIONS):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= MAX_FUNCTION_LINES, f"{file}:{node.lineno} {node.name}"
                lengths.append(length)

    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES


def unfinished(code: str) -> list[str]:
    """What in a Python file was left for later: tests that do not run, functions that do nothing."""
    tree = ast.parse(code)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    protocols = {node for each in classes if _is_protocol(each) for node in each.body}
    return [
        f"{node.lineno}: {ast.unparse(node).splitlines()[0]}"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in NOT_RUN)
        or (isinstance(node, ast.ImportFrom) and NOT_RUN & {alias.name for alias in node.names})
        or (isinstance(node, ast.Name) and node.id == "NotImplementedError")
        or (isinstance(node, FUNCTIONS) and node not in protocols and _is_empty(node))
    ]


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).partition("[")[0].endswith("Protocol") for base in node.bases)


def _is_empty(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a body is `pass` or `...`; one that is a docstring says in words that nothing is to be done."""
    if any(ast.unparse(mark).endswith(("overload", "abstractmethod")) for mark in node.decorator_list):
        return False
    last = node.body[-1]
    is_ellipsis = isinstance(last, ast.Expr) and ast.unparse(last) == "..."
    return len(node.body) <= 1 + (ast.get_docstring(node) is not None) and (
        isinstance(last, ast.Pass) or is_ellipsis
    )


def test_no_unfinished_work_is_committed() -> None:
    for file in tracked_files(""):
        if file.suffix in TEXT_SUFFIXES or file.name in {"Makefile", "run"} or "Dockerfile" in file.name:
            assert not LATER.search(file.read_text(encoding="utf-8")), file
    for file in tracked_files(".py"):
        found = [line.partition(": ")[2] for line in unfinished(file.read_text(encoding="utf-8"))]
        assert found == MAY_BE_SKIPPED.get(file.relative_to(ROOT).as_posix(), []), file


@pytest.mark.parametrize(
    "code",
    [
        "@pytest.mark.skip\ndef test_it(): check()",
        "@pytest.mark.skip(reason='slow')\ndef test_it(): check()",
        "@mark.skipif(True, reason='slow')\ndef test_it(): check()",
        "@pytest.mark.xfail\ndef test_it(): check()",
        "def test_it():\n    pytest.skip('no GPU')",
        "def test_it():\n    pytest.xfail('known')",
        "torch = pytest.importorskip('torch')",
        "from pytest import skip",
        "def do(): raise NotImplementedError",
        "def do(): raise NotImplementedError('later')",
        "def do(): pass",
        "def do(): ...",
        "async def do():\n    'Does it.'\n    pass",
        "class Doer(Base):\n    def do(self): ...",
    ],
)
def test_what_is_unfinished_is_seen(code: str) -> None:
    assert len(unfinished(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "class Reader(Protocol):\n    def __init__(self): ...",
        "class Reader(Protocol[T]):\n    def read(self): ...",
        "class Reader(ABC):\n    @abc.abstractmethod\n    def read(self): ...",
        "@overload\ndef do(x: int) -> int: ...",
        "def answer(_):\n    'Nothing is known.'",
        "class Missing(Exception): pass",
        "try:\n    do()\nexcept OSError:\n    pass",
        "def do():\n    with server(): pass",
    ],
)
def test_what_is_empty_with_good_reason_is_let_pass(code: str) -> None:
    assert unfinished(code) == []


@pytest.mark.parametrize("mark", ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"])
def test_marks_for_later_are_seen_as_words(mark: str) -> None:
    assert LATER.search(f"# {mark}: the rest")
    assert not LATER.search(f"engine.{mark}{mark}")


def test_tokenizer_model_stays_short() -> None:
    files = sorted((ROOT / "export" / "bertriton_export" / "repository" / "triton").glob("*.py"))

    assert [file.name for file in files] == [
        "answers.py",
        "flow_control.py",
        "metrics.py",
        "model.py",
        "request.py",
        "rows.py",
        "sending.py",
        "texts.py",
        "waiting.py",
    ]
    for file in files:
        assert file.read_text(encoding="utf-8").count("\n") < MAX_TOKENIZER_MODEL_LINES


def test_readme_stays_short_and_shows_code_early() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= MAX_README_LINES
    assert any(line.startswith("```") for line in lines[:40])


def test_constraints_pin_versions_and_name_no_address() -> None:
    marker = r"python_(?:full_)?version .*"
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(rf"[\w.-]+==[\w.]+(; {marker})?", line), line


@pytest.mark.parametrize("python", ["3.10.0", "3.11.0", "3.12.0", "3.13.0"])
def test_what_is_pinned_for_a_python_can_be_installed_there(python: str) -> None:
    """As far as the pins in this environment say; a patch version counts, since Debian's 3.11 is 3.11.2."""
    there = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    found = {str(each.metadata["Name"]): each for each in distributions()}
    refused = []
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        here = found.get(pin.name)
        is_for_it = pin.marker is None or pin.marker.evaluate(there)
        if here and is_for_it and pin.specifier.contains(here.version):
            wanted = here.metadata.get("Requires-Python", "")
            if not SpecifierSet(wanted).contains(python):
                refused.append(f"{line} wants Python {wanted}")

    assert refused == []


def test_the_jar_and_the_changelog_are_of_this_version() -> None:
    names = {"m": "http://maven.apache.org/POM/4.0.0"}
    pom = ET.parse(ROOT / "spark" / "scala" / "pom.xml")  # noqa: S314  # our own
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert pom.findtext("m:version", namespaces=names) == __version__
    assert pom.findtext("m:build/m:sourceDirectory", namespaces=names) == "${project.basedir}"
    assert re.findall(r"^## \[(.*?)\]", changelog, re.MULTILINE)[0] == __version__


def test_all_brings_every_extra_and_all_of_tritonclient(wheel: Path) -> None:
    metadata = metadata_of(wheel)

    everything = {*required_by(metadata, "all")}
    for extra in {*metadata.get_all("Provides-Extra", [])} - {"dev", "docs"}:
        assert {*required_by(metadata, extra)} <= everything, extra
    assert "tritonclient[all]>=2.60" in everything
    assert everything - {"tritonclient[all]>=2.60"} <= {*required_by(metadata, "dev")}


def test_the_demos_model_is_a_wheel_of_its_own_and_small_enough_for_an_index(wheel: Path) -> None:
    package = ROOT / "checkpoints" / "bertriton_imdb"
    files = [*(package / "checkpoint").iterdir(), package / "reviews.csv"]

    assert "bertriton-imdb>=1" in required_by(metadata_of(wheel), "demo")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < MAX_WHEEL_BYTES

"""From checkpoint to model repository: read, build, verify, write."""

from __future__ import annotations

import platform
import re
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnx
from bertriton import __version__, contract
from bertriton.contract import ClassifierInfo

from bertriton_export.bert_graph import build_bert_graph
from bertriton_export.errors import RepositoryError
from bertriton_export.graph_builder import WeightFile
from bertriton_export.model_config import LABELS_FILE, MAX_BATCH_SIZE, TOKENIZER_FILE, model_configs, to_pbtxt
from bertriton_export.readers import read_checkpoint
from bertriton_export.repository import staged_repository, write_manifest
from bertriton_export.verify import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from bertriton_export.checkpoint import Checkpoint

DEFAULT_REPOSITORY: Final = "model_repository"
VERSION_FOLDER: Final = "1"
ONNX_FILE: Final = "model.onnx"
WEIGHTS_FILE: Final = "model.onnx.data"
MANIFEST_FILE: Final = "manifest.json"

# Names are folders, URL parts and config values at once.
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RECORDED_PACKAGES: Final = ("onnx", "onnxruntime", "tokenizers", "numpy")


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote and how well it agrees with the reference."""

    classifier: ClassifierInfo
    repository: Path
    verification: Verification


def export(
    checkpoint: str | PathLike[str],
    *,
    name: str | None = None,
    repository: str | PathLike[str] = DEFAULT_REPOSITORY,
    labels: Sequence[str] | None = None,
    on_stage: Callable[[str], object] = str,
) -> ExportReport:
    """Turn a BERT classifier's checkpoint into the three models Triton serves it with.

    Existing models of the same names are replaced; on failure nothing is written.

    Args:
        checkpoint: a Hugging Face folder.
        name: what clients will call the classifier; default: the folder's name.
        repository: the model repository to write into, made if need be.
        labels: names to use instead of the checkpoint's, in the order of the logits.
        on_stage: called with a line about each stage as it begins.

    Raises:
        CheckpointError, UnsupportedModelError: the checkpoint cannot be served.
        VerificationError: the graph disagrees with the reference.
        RepositoryError: the repository cannot be written, or the name is no model name.

    Example:
        >>> report = export("checkpoints/imdb-minilm", name="imdb")
        >>> report.classifier.labels
        ('neg', 'pos')
    """
    name = _checked_name(name if name is not None else Path(checkpoint).resolve().name)
    on_stage("reading the checkpoint")
    source = read_checkpoint(Path(checkpoint), labels)
    info = _classifier_info(name, source)
    with staged_repository(Path(repository)) as staging:
        on_stage("building the graph")
        _write_configs(staging, info)
        _write_tokenizer(staging / (name + contract.TOKENIZER_SUFFIX), source)
        onnx_file = _write_graph(staging / (name + contract.BERT_SUFFIX), source)
        on_stage("verifying it against the float64 reference")
        verification = verify(source, onnx_file)
        manifest = staging / name / VERSION_FOLDER / MANIFEST_FILE
        write_manifest(staging, manifest, _manifest(info, source, verification))
    return ExportReport(info, Path(repository), verification)


def _checked_name(name: str) -> str:
    if not _MODEL_NAME.fullmatch(name):
        raise RepositoryError(
            f"{name!r} cannot name a model: "
            "use letters, digits, '_', '-' and '.', beginning with a letter or digit"
        )
    return name


def _classifier_info(name: str, checkpoint: Checkpoint) -> ClassifierInfo:
    return ClassifierInfo(
        name=name,
        labels=checkpoint.labels,
        problem_type=checkpoint.problem_type,
        max_length=checkpoint.max_length,
        max_batch_size=MAX_BATCH_SIZE,
        checkpoint_sha256=checkpoint.sha256,
    )


def _write_configs(repository: Path, info: ClassifierInfo) -> None:
    for name, config in model_configs(info).items():
        (repository / name / VERSION_FOLDER).mkdir(parents=True)  # Triton wants one even where it is empty
        (repository / name / "config.pbtxt").write_text(to_pbtxt(config), encoding="utf-8")
    labels = "".join(f"{label}\n" for label in info.labels)
    (repository / (info.name + contract.BERT_SUFFIX) / LABELS_FILE).write_text(labels, encoding="utf-8")


def _write_tokenizer(model: Path, checkpoint: Checkpoint) -> None:
    source = resources.files("bertriton_export") / "triton" / "tokenizer_model.py"
    with resources.as_file(source) as file:
        shutil.copyfile(file, model / VERSION_FOLDER / "model.py")
    (model / VERSION_FOLDER / TOKENIZER_FILE).write_text(checkpoint.tokenizer_json, encoding="utf-8")


def _write_graph(model: Path, checkpoint: Checkpoint) -> Path:
    file = model / VERSION_FOLDER / ONNX_FILE
    with closing(WeightFile(file.with_name(WEIGHTS_FILE))) as weight_file:
        graph = build_bert_graph(checkpoint, weight_file)
    onnx.save_model(graph, file)
    onnx.checker.check_model(file)
    return file


def _manifest(info: ClassifierInfo, checkpoint: Checkpoint, verification: Verification) -> dict[str, Any]:
    return {
        "classifier": asdict(info),
        "bert": asdict(checkpoint.config),
        "verification": asdict(verification),
        "versions": {
            "bertriton": __version__,
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in _RECORDED_PACKAGES},
        },
    }

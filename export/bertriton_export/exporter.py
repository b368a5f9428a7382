"""From checkpoint to model repository: read, build, verify, write."""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bertriton import __version__, contract
from bertriton.contract import ClassifierInfo
from bertriton_export.errors import OptionError, RepositoryError
from bertriton_export.graph_request import GraphRequest
from bertriton_export.heads import with_head
from bertriton_export.int8_graph import Int8Request
from bertriton_export.model_config import (
    LABELS_FILE,
    MAX_BATCH_SIZE,
    TOKENIZER_FILE,
    WARMUP_FOLDER,
    model_configs,
    to_pbtxt,
)
from bertriton_export.readers import default_name, read_checkpoint
from bertriton_export.repository import staged_repository, write_manifest
from bertriton_export.targets import DEFAULT_TARGET, checked_target
from bertriton_export.verify import sample_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.graph_request import WrittenGraph
    from bertriton_export.int8_gate import Int8Comparison
    from bertriton_export.model_config import NetworkConfig
    from bertriton_export.targets import Target
    from bertriton_export.verify import Verification

DEFAULT_REPOSITORY: Final = "model_repository"
VERSION_FOLDER: Final = "1"
TOKENIZER_MODEL_FILES: Final = ("model.py", "rows.py")
MANIFEST_FILE: Final = "manifest.json"

# Names are folders, URL parts and config values at once.
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RECORDED_PACKAGES: Final = ("onnx", "onnxruntime", "tokenizers", "numpy")


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote and how well it agrees with the reference."""

    classifier: ClassifierInfo
    repository: Path
    target: str
    precision: str
    verified: str  # whose logits were held to the reference
    verification: Verification  # of those against float64
    int8: Int8Comparison | None  # of the int8 graph against fp32, where one was asked for


def export(
    checkpoint: str | PathLike[str],
    *,
    name: str | None = None,
    repository: str | PathLike[str] = DEFAULT_REPOSITORY,
    labels: Sequence[str] | None = None,
    problem_type: str | None = None,
    threshold: float | None = None,
    target: str = DEFAULT_TARGET,
    precision: str | None = None,
    keep_fp32: Sequence[str] = (),
    vnni: bool = True,
    validation_texts: Sequence[str] | None = None,
    on_stage: Callable[[str], object] = str,
) -> ExportReport:
    """Turn a BERT classifier's checkpoint into the three models Triton serves it with.

    Existing models of the same names are replaced; on failure nothing is written.

    Args:
        checkpoint: a path in one of the formats of `readers.READERS`, or a hub id `org/name[@revision]`.
        name: what clients will call the classifier; default: the name of the folder, zip or hub model.
        repository: the model repository to write into, made if need be.
        labels: names to use instead of the checkpoint's, in the order of the logits.
        problem_type: what the logits mean, instead of what the checkpoint says, one of `heads.HEADS`.
        threshold: probability from which a label counts, for multi_label_classification.
        target: what the graph is made for, one of `targets.TARGETS`.
        precision: int8 is about the encoder's linear layers, fp16 about embeddings and encoder; default: the
            target's first.
        keep_fp32: linear layers that stay fp32 in an int8 graph, as `encoder.layer.3` or
            `encoder.layer.3.output.dense`.
        vnni: False makes int8 weights of seven bits, for x86 CPUs without the VNNI instructions.
        validation_texts: texts to compare int8 with fp32 on; default: film reviews that come along.
        on_stage: called with a line about each stage as it begins.

    Raises:
        CheckpointError, UnsupportedModelError: the checkpoint cannot be served.
        VerificationError: the graph disagrees with the reference.
        Int8GateError: the int8 graph decides otherwise than the fp32 graph.
        OptionError: an option does not exist or does not go with another.
        RepositoryError: the repository cannot be written, or the name is no model name.

    Example:
        >>> report = export("checkpoints/imdb-minilm", name="imdb")
        >>> report.classifier.labels
        ('neg', 'pos')
    """
    name = _checked_name(name if name is not None else default_name(str(checkpoint)))
    made_for, precision = checked_target(target, precision)
    request = GraphRequest(precision, _int8_request(precision, validation_texts, keep_fp32, vnni=vnni))
    on_stage("reading the checkpoint")
    source = with_head(read_checkpoint(Path(checkpoint), labels), problem_type, threshold)
    info = _classifier_info(name, source)
    with staged_repository(Path(repository)) as staging:
        graph = _write_models(staging, info, source, made_for, request, on_stage=on_stage)
    return ExportReport(
        info, Path(repository), target, precision, graph.verified, graph.verification, graph.int8
    )


def _write_models(
    repository: Path,
    info: ClassifierInfo,
    checkpoint: Checkpoint,
    target: Target,
    request: GraphRequest,
    *,
    on_stage: Callable[[str], object],
) -> WrittenGraph:
    _write_configs(repository, info, target.network(info, request))
    _write_tokenizer(repository / (info.name + contract.TOKENIZER_SUFFIX) / VERSION_FOLDER, checkpoint)
    folder = repository / (info.name + contract.BERT_SUFFIX) / VERSION_FOLDER
    graph = target.write_graph(checkpoint, folder, request, on_stage)
    facts = _manifest(info, checkpoint, request.precision, graph)
    write_manifest(repository, repository / info.name / VERSION_FOLDER / MANIFEST_FILE, facts)
    return graph


def _int8_request(
    precision: str, texts: Sequence[str] | None, keep_fp32: Sequence[str], *, vnni: bool
) -> Int8Request | None:
    if precision == "int8":
        return Int8Request(sample_texts() if texts is None else texts, keep_fp32, vnni)
    if keep_fp32 or not vnni:
        raise OptionError(f"keep_fp32 and vnni are about int8, and the precision is {precision}")
    return None


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
        threshold=checkpoint.threshold,
    )


def _write_configs(repository: Path, info: ClassifierInfo, network: NetworkConfig) -> None:
    for name, config in model_configs(info, network).items():
        (repository / name / VERSION_FOLDER).mkdir(parents=True)  # Triton wants one even where it is empty
        (repository / name / "config.pbtxt").write_text(to_pbtxt(config), encoding="utf-8")
    bert = repository / (info.name + contract.BERT_SUFFIX)
    (bert / LABELS_FILE).write_text("".join(f"{label}\n" for label in info.labels), encoding="utf-8")
    (bert / WARMUP_FOLDER).mkdir()
    for warmup in network.warmups:
        positions = np.arange(warmup.tokens, dtype="<i4")
        (bert / WARMUP_FOLDER / warmup.file).write_bytes(positions.tobytes())


def _write_tokenizer(folder: Path, checkpoint: Checkpoint) -> None:
    with resources.as_file(resources.files("bertriton_export") / "triton") as source:
        for name in TOKENIZER_MODEL_FILES:
            shutil.copyfile(source / name, folder / name)
    (folder / TOKENIZER_FILE).write_text(checkpoint.tokenizer_json, encoding="utf-8")


def _manifest(
    info: ClassifierInfo, checkpoint: Checkpoint, precision: str, graph: WrittenGraph
) -> dict[str, Any]:
    versions = {package: metadata.version(package) for package in _RECORDED_PACKAGES}
    return {
        "classifier": asdict(info),
        "source": dict(checkpoint.source),
        "bert": asdict(checkpoint.config),
        "precision": precision,
        "verification": asdict(graph.verification),
        "int8": asdict(graph.int8) if graph.int8 else None,
        **graph.facts,
        "versions": {"bertriton": __version__, "python": platform.python_version(), **versions},
    }

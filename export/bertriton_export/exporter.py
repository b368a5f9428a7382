"""From checkpoint to model repository: read, build, verify, write."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton import contract
from bertriton.contract import ClassifierInfo
from bertriton_export.checkpoint import with_head, with_tokenization, with_truncation
from bertriton_export.errors import OptionError
from bertriton_export.int8 import Int8Request, default_texts, split_texts
from bertriton_export.reading import default_name, read_checkpoint
from bertriton_export.repository import (
    ExportReport,
    checked_name,
    fingerprint_for,
    require_own,
    staged_repository,
    write_models,
    write_records,
)
from bertriton_export.targets import (
    DEFAULT_TARGET,
    MAX_BATCH_SIZE,
    TARGETS,
    GraphRequest,
    checked_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.targets import NetworkConfig, Target

DEFAULT_REPOSITORY: Final = "model_repository"


def export(
    checkpoint: str | PathLike[str],
    *,
    name: str | None = None,
    repository: str | PathLike[str] = DEFAULT_REPOSITORY,
    base: str | PathLike[str] | None = None,
    labels: Sequence[str] | None = None,
    problem_type: str | None = None,
    threshold: float | None = None,
    truncation: str | None = None,
    stride: int | None = None,
    aggregation: str | None = None,
    tokenization: str | None = None,
    target: str = DEFAULT_TARGET,
    precision: str | None = None,
    keep_fp32: Sequence[str] = (),
    validation_texts: Sequence[str] | None = None,
    gate: bool = True,
    on_stage: Callable[[str], object] = str,
) -> ExportReport:
    """Turn the checkpoint of a BERT classifier into the three models that Triton serves it with.

    Args:
        checkpoint: a folder or file in one of the supported formats, or a hub id `org/name[@revision]`.
        name: of the classifier, whose earlier export is replaced; default: that of the folder or hub model.
        repository: the model repository to write into; made if it is missing, left as it was on failure.
        base: of a LoRA adapter: its base model, a folder or a hub id; default: the one it lies with or names.
        labels: names of the labels in the order of the logits; default: the checkpoint's.
        problem_type: what the logits mean, such as `multi_label_classification`; default: the checkpoint's.
        threshold: for `multi_label_classification`: the probability from which a label counts; default: 0.5.
        truncation: which part of a long text is read (`bertriton.Truncation`); default: the checkpoint's.
        stride: tokens that a window shares with the one before. A request may choose these three otherwise.
        aggregation: how the scores of windows are joined: `mean` or `max`.
        tokenization: how texts are cut into tokens: `huggingface` (default) or `sparknlp`.
        target: kind of machine to serve on: `cpu`, `cuda`, `tensorrt` or `onnxruntime-tensorrt`.
        precision: of the encoder: `int8`, `fp16` or `fp32`; default: the first that the target has.
        keep_fp32: layers to keep out of int8: `encoder.layer.3`, or `encoder.layer.3.output.dense`.
        validation_texts: texts to calibrate and to judge int8 by; default: built-in film reviews.
        gate: False: int8 is not compared with fp32.
        on_stage: called with a line about each stage as it begins.

    Raises:
        CheckpointError, UnsupportedModelError: the checkpoint cannot be served.
        VerificationError, Int8GateError: the graph disagrees with the reference, or int8 with fp32.
        OptionError, RepositoryError: an option is wrong, or the repository or the name cannot be used.

    Example:
        >>> export("checkpoints/imdb-minilm", name="imdb").classifier.labels
        ('neg', 'pos')
    """
    name = checked_name(name if name is not None else default_name(str(checkpoint)))
    _, precision = checked_target(target, precision)
    request = _request(precision, validation_texts, keep_fp32=keep_fp32, gate=gate)
    require_own(Path(repository), name)
    source = with_tokenization(_read(checkpoint, labels, base, on_stage), tokenization)
    source = with_truncation(with_head(source, problem_type, threshold), truncation, stride, aggregation)
    return _write(Path(repository), name, source, request, target=target, on_stage=on_stage)


def _write(
    repository: Path,
    name: str,
    source: Checkpoint,
    request: GraphRequest,
    *,
    target: str,
    on_stage: Callable[[str], object],
) -> ExportReport:
    request = replace(request, fingerprint=fingerprint_for(source, target, request), sizes=source.config)
    info = _classifier_info(name, source, request.fingerprint)
    network = _network(TARGETS[target], info, request)
    with staged_repository(repository, on_stage) as staging:
        folder = write_models(staging, info, source, network)
        graph = TARGETS[target].write_graph(source, folder, request, on_stage)
        checked = (graph.verified, graph.verification, graph.int8)
        report = ExportReport(info, repository, target, request.precision, *checked)
        write_records(staging / name, report, source, graph.facts)
        require_own(repository, name)  # it may have changed in all this time
    return report


def _read(
    checkpoint: str | PathLike[str],
    labels: Sequence[str] | None,
    base: str | PathLike[str] | None,
    on_stage: Callable[[str], object],
) -> Checkpoint:
    on_stage("reading the checkpoint")
    return read_checkpoint(Path(checkpoint), labels, None if base is None else str(base))


def _request(
    precision: str,
    texts: Sequence[str] | None,
    *,
    keep_fp32: Sequence[str],
    gate: bool,
) -> GraphRequest:
    if precision == "int8":
        found = default_texts() if texts is None else split_texts(texts)
        found = found if gate else replace(found, judging=())
        return GraphRequest(precision, Int8Request(found, keep_fp32))
    if keep_fp32 or not gate:
        raise OptionError(f"keep_fp32 and gate are about int8, and the precision is {precision}")
    return GraphRequest(precision)


def _network(made_for: Target, info: ClassifierInfo, request: GraphRequest) -> NetworkConfig:
    network = made_for.network(info, request)
    if network.padded_lengths and info.truncation == contract.IN_WINDOWS:
        raise OptionError(
            f"truncation {info.truncation}: the target is for {made_for.summary} and joins no windows, "
            f"expected one of {', '.join(way for way in contract.TRUNCATIONS if way != contract.IN_WINDOWS)}"
        )
    return network


def _classifier_info(name: str, checkpoint: Checkpoint, fingerprint: str) -> ClassifierInfo:
    return ClassifierInfo(
        name=name,
        labels=checkpoint.labels,
        problem_type=checkpoint.problem_type,
        max_length=checkpoint.max_length,
        max_batch_size=MAX_BATCH_SIZE,
        checkpoint_sha256=checkpoint.sha256,
        fingerprint=fingerprint,
        threshold=checkpoint.threshold,
        tokenization=checkpoint.tokenization,
        **asdict(checkpoint.truncation),
    )

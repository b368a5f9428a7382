"""From checkpoint to model repository: read, build, verify, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton.contract import ClassifierInfo
from bertriton_export.checkpoint import with_head
from bertriton_export.errors import OptionError
from bertriton_export.int8 import Int8Request
from bertriton_export.reading import default_name, read_checkpoint
from bertriton_export.repository import (
    ExportReport,
    checked_name,
    staged_repository,
    write_models,
    write_records,
)
from bertriton_export.targets import DEFAULT_TARGET, MAX_BATCH_SIZE, GraphRequest, checked_target
from bertriton_export.verification import sample_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from bertriton_export.checkpoint import Checkpoint

DEFAULT_REPOSITORY: Final = "model_repository"


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
        checkpoint: a path in one of the formats of `reading.READERS`, or a hub id `org/name[@revision]`.
        name: what clients will call the classifier; default: the name of the folder, zip or hub model.
        repository: the model repository to write into, made if need be.
        labels: names to use instead of the checkpoint's, in the order of the logits.
        problem_type: what the logits mean, instead of what the checkpoint says, one of `checkpoint.HEADS`.
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
    name = checked_name(name if name is not None else default_name(str(checkpoint)))
    made_for, precision = checked_target(target, precision)
    request = GraphRequest(precision, _int8_request(precision, validation_texts, keep_fp32, vnni=vnni))
    on_stage("reading the checkpoint")
    source = with_head(read_checkpoint(Path(checkpoint), labels), problem_type, threshold)
    info = _classifier_info(name, source)
    with staged_repository(Path(repository)) as staging:
        folder = write_models(staging, info, source, made_for.network(info, request))
        graph = made_for.write_graph(source, folder, request, on_stage)
        checked = (graph.verified, graph.verification, graph.int8)
        report = ExportReport(info, Path(repository), target, precision, *checked)
        write_records(staging / name, report, source, graph.facts)
    return report


def _int8_request(
    precision: str, texts: Sequence[str] | None, keep_fp32: Sequence[str], *, vnni: bool
) -> Int8Request | None:
    if precision == "int8":
        return Int8Request(sample_texts() if texts is None else texts, keep_fp32, vnni)
    if keep_fp32 or not vnni:
        raise OptionError(f"keep_fp32 and vnni are about int8, and the precision is {precision}")
    return None


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

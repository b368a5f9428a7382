"""Make an int8 graph by way of its fp32 twin: verify that, calibrate by what it shows, compare with it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton import contract
from bertriton_export.errors import OptionError
from bertriton_export.int8.gate import Int8Comparison, require_int8_close_to_fp32
from bertriton_export.int8.smoothing import calibrated, input_ranges
from bertriton_export.network import (
    GraphOptions,
    Int8Options,
    encoder_layers,
    encoder_linears,
    is_after_activation,
    linears_within,
    write_bert_graph,
)
from bertriton_export.verification import Verification, encode, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.int8.texts import Int8Texts
    from bertriton_export.network import GraphWriter

# LayerNorm bounds what these read, and one scale spares their wide output two passes: for the tokens' scales,
# and for the bias.
CPU_STATIC_LINEARS: Final = (".intermediate.dense",)
CPU_MIN_STATIC_TOKENS: Final = 500
ALL_LINEARS: Final = (".query", ".key", ".value", ".dense")


@dataclass(frozen=True)
class Int8Request:
    """What an int8 graph is to be like."""

    texts: Int8Texts  # to calibrate by and to compare with fp32 on
    keep_fp32: Sequence[str] = ()  # layers that stay fp32, as `encoder.layer.3`


@dataclass(frozen=True)
class Int8Kind:
    """How an int8 graph is written, which differs from target to target, and the fingerprint it gets."""

    write: GraphWriter = write_bert_graph
    # Ends of the names of linear layers whose input has one scale for all tokens.
    static_linears: tuple[str, ...] = CPU_STATIC_LINEARS
    # Seen on fewer tokens, the largest value says too little, and all layers have a scale per token.
    min_static_tokens: int = CPU_MIN_STATIC_TOKENS
    is_shifted: bool = True  # whether what those layers read is shifted to the middle of its range
    # Whether the first of several encoder layers is rounded less, for its errors pass through all others: it
    # has no layer of one scale, and the one behind its activation function stays fp32.
    spares_first_layer: bool = True
    fingerprint: str = contract.NO_FINGERPRINT


def write_fp32_graph(
    checkpoint: Checkpoint,
    folder: Path,
    on_stage: Callable[[str], object],
    fingerprint: str = contract.NO_FINGERPRINT,
) -> tuple[Path, Verification]:
    """Write the fp32 graph and hold it to the reference.

    Raises:
        VerificationError: it is too far off.
    """
    on_stage("building the graph")
    file = write_bert_graph(checkpoint, folder, GraphOptions(fingerprint=fingerprint))
    on_stage("verifying it against the float64 reference")
    return file, verify(checkpoint, file)


def write_int8_graph(
    checkpoint: Checkpoint,
    folder: Path,
    request: Int8Request,
    on_stage: Callable[[str], object],
    kind: Int8Kind | None = None,
) -> tuple[Verification, Int8Comparison | None]:
    """Write the int8 graph and hold it to its fp32 twin, and that one to the reference.

    The twin is a CPU's graph, whatever kind the int8 graph is of; default: a CPU's as well. Without texts to
    judge by there is no comparison.

    Raises:
        OptionError: a layer to keep in fp32 does not exist.
        VerificationError: the twin is too far off the reference.
        Int8GateError: the int8 graph is too far off its twin.
    """
    kind = kind or Int8Kind()
    kept = _linears_of(checkpoint, request.keep_fp32) | _spared(checkpoint, kind)
    with tempfile.TemporaryDirectory(dir=folder) as twin:
        fp32_file, verification = write_fp32_graph(checkpoint, Path(twin), on_stage)
        on_stage("building the int8 graph")
        calibrating = encode(checkpoint, request.texts.calibrating)
        int8 = _calibrated(checkpoint, fp32_file, calibrating, kind)
        options = GraphOptions(int8, kept, fingerprint=kind.fingerprint)
        file = kind.write(checkpoint, folder, options)
        if not request.texts.judging:
            return verification, None
        encodings = encode(checkpoint, request.texts.judging)
        comparison = require_int8_close_to_fp32(
            checkpoint, encodings, (fp32_file, file), options, on_stage, write=kind.write
        )
    return verification, comparison


def write_ungated_int8(
    checkpoint: Checkpoint, fp32_file: Path, calibrating: Sequence[Encoding], folder: Path
) -> Path:
    """Write a CPU's int8 graph as the exporter does, and leave it to the caller to compare it.

    Args:
        checkpoint: what the graph is of.
        fp32_file: its fp32 graph for CPUs.
        calibrating: tokenised texts.
        folder: where to.
    """
    kind = Int8Kind()
    int8 = _calibrated(checkpoint, fp32_file, calibrating, kind)
    return kind.write(checkpoint, folder, GraphOptions(int8, _spared(checkpoint, kind)))


def _calibrated(
    checkpoint: Checkpoint,
    fp32_file: Path,
    calibrating: Sequence[Encoding],
    kind: Int8Kind,
) -> Int8Options:
    is_enough = sum(len(encoding.ids) for encoding in calibrating) >= kind.min_static_tokens
    linears = encoder_linears(checkpoint.config)
    static = set(linears) - _first_layer(checkpoint, kind) if is_enough else set()
    return calibrated(
        checkpoint.weights,
        input_ranges(fp32_file, linears, calibrating),
        {name for name in static if name.endswith(kind.static_linears)},
        is_shifted=kind.is_shifted,
    )


def _first_layer(checkpoint: Checkpoint, kind: Int8Kind) -> frozenset[str]:
    """The linear layers of the first encoder layer, where it is spared."""
    first, *others = encoder_layers(checkpoint.config)
    is_spared = kind.spares_first_layer and others
    return frozenset(linears_within(checkpoint.config, first) if is_spared else ())


def _spared(checkpoint: Checkpoint, kind: Int8Kind) -> frozenset[str]:
    """What stays fp32 of the first encoder layer."""
    return frozenset(filter(is_after_activation, _first_layer(checkpoint, kind)))


def _linears_of(checkpoint: Checkpoint, layers: Sequence[str]) -> frozenset[str]:
    """The linear layers in encoder layers, or one by its whole name."""
    found: set[str] = set()
    for layer in layers:
        linears = linears_within(checkpoint.config, layer)
        if not linears:
            examples = (encoder_layers(checkpoint.config)[0], encoder_linears(checkpoint.config)[-1])
            raise OptionError(
                f"keep_fp32 {layer!r}: no such layer; expected one like {' or '.join(examples)}"
            )
        found.update(linears)
    return frozenset(found)

"""Make an int8 graph by way of its fp32 twin: verify the twin, smooth by what it shows, compare with it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bertriton import contract
from bertriton_export.errors import OptionError
from bertriton_export.int8.gate import Int8Comparison, closest_to_fp32, require_int8_close_to_fp32
from bertriton_export.int8.smoothing import STATIC_STRENGTHS, STRENGTH, input_maxima, smoothing_factors
from bertriton_export.network import (
    FULL_WEIGHT_LEVELS,
    REDUCED_WEIGHT_LEVELS,
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
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network import GraphWriter

# LayerNorm bounds what these read, and one scale spares their wide output two passes: for the tokens' scales,
# and for the bias.
CPU_STATIC_LINEARS: Final = (".intermediate.dense",)
CPU_MIN_STATIC_TOKENS: Final = 500
ALL_LINEARS: Final = (".query", ".key", ".value", ".dense")

# Channels show which of them run large on few texts already; the comparison uses all.
TEXTS_PER_OBSERVED_TEXT: Final = 4
MAX_OBSERVED_TEXTS: Final = 64


@dataclass(frozen=True)
class Int8Request:
    """What an int8 graph is to be like."""

    texts: Sequence[str]  # to smooth by and to compare with fp32 on
    keep_fp32: Sequence[str] = ()  # layers that stay fp32, as `encoder.layer.3`
    vnni: bool = True  # False: weights of seven bits, for x86 CPUs without VNNI


@dataclass(frozen=True)
class Int8Kind:
    """How an int8 graph is written, which differs from target to target, and the fingerprint it gets."""

    write: GraphWriter = write_bert_graph
    # Ends of the names of linear layers whose input has one scale for all tokens.
    static_linears: tuple[str, ...] = CPU_STATIC_LINEARS
    # Seen on fewer tokens, the largest value says too little, and all layers have a scale per token.
    min_static_tokens: int = CPU_MIN_STATIC_TOKENS
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
) -> tuple[Verification, Int8Comparison]:
    """Write the int8 graph and hold it to its fp32 twin, and that one to the reference.

    The twin is a CPU's graph, whatever kind the int8 graph is of; default: a CPU's as well.

    Raises:
        OptionError: a layer to keep in fp32 does not exist.
        VerificationError: the twin is too far off the reference.
        Int8GateError: the int8 graph is too far off its twin.
    """
    kind = kind or Int8Kind()
    kept = _linears_of(checkpoint, request.keep_fp32)
    encodings = encode(checkpoint, request.texts)
    with tempfile.TemporaryDirectory(dir=folder) as twin:
        fp32_file, verification = write_fp32_graph(checkpoint, Path(twin), on_stage)
        on_stage("building the int8 graph")
        observed = encodings[::TEXTS_PER_OBSERVED_TEXT][:MAX_OBSERVED_TEXTS]
        maxima = input_maxima(fp32_file, encoder_linears(checkpoint.config), observed)
        levels = FULL_WEIGHT_LEVELS if request.vnni else REDUCED_WEIGHT_LEVELS
        is_enough = sum(len(encoding.ids) for encoding in observed) >= kind.min_static_tokens
        static_linears = kind.static_linears if is_enough else ()
        candidates = [
            GraphOptions(
                _int8_options(checkpoint, maxima, levels, static_linears, strength),
                kept,
                fingerprint=kind.fingerprint,
            )
            for strength in (STATIC_STRENGTHS if static_linears else (STRENGTH,))
        ]
        options = closest_to_fp32(checkpoint, observed, fp32_file, candidates, write=kind.write)
        file = kind.write(checkpoint, folder, options)
        comparison = require_int8_close_to_fp32(
            checkpoint, encodings, (fp32_file, file), options, on_stage, write=kind.write
        )
    return verification, comparison


def _int8_options(
    checkpoint: Checkpoint,
    maxima: Mapping[str, NDArray[np.float32]],
    levels: int,
    static_linears: tuple[str, ...],
    static_strength: float,
) -> Int8Options:
    """Smoothing and largest inputs from what every input channel of every layer came to."""
    static = {name: maximum for name, maximum in maxima.items() if name.endswith(static_linears)}
    others = {name: maximum for name, maximum in maxima.items() if name not in static}
    factors = {
        name: factor
        for group, strength in ((static, static_strength), (others, STRENGTH))
        for name, factor in smoothing_factors(checkpoint.weights, group, strength).items()
        if not is_after_activation(name)
    }
    largest = {name: float((maximum / factors.get(name, 1)).max()) for name, maximum in static.items()}
    return Int8Options(levels, factors, largest)


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

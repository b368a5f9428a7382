"""Whether an int8 graph decides as its fp32 twin does, and which layers are to blame when it does not.

To keep its answer is, for a single label, to keep the best one; for several labels, to keep each on its side
of the threshold; for a value, to stay within a small part of its spread over the texts.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from bertriton import contract
from bertriton_export.errors import Int8GateError
from bertriton_export.network import encoder_layers, encoder_linears, linears_within
from bertriton_export.verification import GraphSession, runs_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.network import GraphOptions, GraphWriter

    Stage = Callable[[str], object]

# Share of answers that are kept, of all texts like those that judge: the lower end of the interval has to
# reach it, so that few texts must do better than many: of 300 one answer may change, of 1,000 eleven.
MIN_LABEL_AGREEMENT: Final = 0.98
MAX_MEAN_DIFFERENCE: Final = 0.005  # of probability
# Of a value, in standard deviations of it over the texts.
MAX_MEAN_VALUE_DIFFERENCE: Final = 0.025
KEPT_VALUE_DIFFERENCE: Final = 0.1
CONFIDENCE: Final = 0.95  # of the interval around the share of answers kept
SMALLEST_SPREAD: Final = 1e-6  # in place of none, where all texts have the same value

# Finding the layers to blame takes a graph a layer, so on a part of the texts.
TEXTS_TO_BLAME_ON: Final = 50
BLAMED_LAYERS: Final = 3


@dataclass(frozen=True)
class Int8Comparison:
    """How an int8 graph's answers differ from fp32's on real text."""

    texts: int
    label_agreement: float  # share of answers that are kept
    label_agreement_interval: tuple[float, float]  # where that share lies for all texts like these, at 95 %
    mean_difference: float  # of probability, over texts and labels; of a value, in standard deviations
    max_difference: float
    allowed_difference: float = MAX_MEAN_DIFFERENCE  # on average

    @property
    def is_close(self) -> bool:
        """Whether the int8 graph may be served in the fp32 graph's place."""
        surely_kept, _ = self.label_agreement_interval
        return surely_kept >= MIN_LABEL_AGREEMENT and self.mean_difference <= self.allowed_difference

    def __str__(self) -> str:
        low, high = self.label_agreement_interval
        return (
            f"{self.label_agreement:.2%} of the answers to {self.texts} texts are kept, so {low:.2%} to "
            f"{high:.2%} of all like these at {CONFIDENCE:.0%} confidence (required "
            f"{MIN_LABEL_AGREEMENT:.0%} at least), scores move by {self.mean_difference:.4f} on average "
            f"(allowed {self.allowed_difference})"
        )


def require_int8_close_to_fp32(
    checkpoint: Checkpoint,
    encodings: Sequence[Encoding],
    fp32_and_int8: tuple[Path, Path],
    options: GraphOptions,
    on_stage: Stage,
    *,
    write: GraphWriter,
) -> Int8Comparison:
    """Compare the two graphs on tokenised texts; `write` wrote the int8 one with `options`.

    Raises:
        Int8GateError: the int8 graph is too far off; names the layers that hurt most.
    """
    fp32_file, int8_file = fp32_and_int8
    runs = runs_at_once()
    fp32 = _probabilities(GraphSession(fp32_file, runs_at_once=runs), encodings, on_stage)
    int8 = _probabilities(GraphSession(int8_file, for_int8=True, runs_at_once=runs), encodings, on_stage)
    comparison = judged(checkpoint, int8, fp32)
    if not comparison.is_close:
        part = slice(TEXTS_TO_BLAME_ON)
        layers = _layers_to_blame(checkpoint, encodings[part], fp32[part], options, on_stage, write=write)
        raise Int8GateError(str(comparison), layers)
    return comparison


def _written(
    checkpoint: Checkpoint, encodings: Sequence[Encoding], options: GraphOptions, write: GraphWriter
) -> NDArray[np.float32]:
    """What a graph of these options answers."""
    with tempfile.TemporaryDirectory() as folder:
        file = write(checkpoint, Path(folder), options)
        session = GraphSession(file, for_int8=True, runs_at_once=runs_at_once())
        return session.probabilities(encodings)


def _probabilities(
    session: GraphSession, encodings: Sequence[Encoding], on_stage: Stage
) -> NDArray[np.float32]:
    def tell(share: float) -> None:
        on_stage(f"comparing int8 with fp32 on {len(encodings)} texts: {share:.0%}")

    return session.probabilities(encodings, tell)


def judged(checkpoint: Checkpoint, int8: NDArray[np.float32], fp32: NDArray[np.float32]) -> Int8Comparison:
    """Compare probabilities [R, C] of the same texts; of a regression model they are its values."""
    differences = np.abs(int8 - fp32)  # (R, C)
    allowed_difference = MAX_MEAN_DIFFERENCE
    if checkpoint.problem_type == contract.REGRESSION:
        differences /= np.maximum(fp32.std(axis=0), SMALLEST_SPREAD)
        allowed_difference = MAX_MEAN_VALUE_DIFFERENCE
        is_kept = differences <= KEPT_VALUE_DIFFERENCE
    elif checkpoint.problem_type == contract.MULTI_LABEL:
        is_kept = (int8 >= checkpoint.threshold) == (fp32 >= checkpoint.threshold)
    else:
        is_kept = int8.argmax(axis=-1) == fp32.argmax(axis=-1)
    return Int8Comparison(
        texts=len(fp32),
        label_agreement=float(is_kept.mean()),
        label_agreement_interval=wilson_interval(float(is_kept.mean()), len(fp32)),
        mean_difference=float(differences.mean()),
        max_difference=float(differences.max()),
        allowed_difference=allowed_difference,
    )


def wilson_interval(share: float, trials: int) -> tuple[float, float]:
    """The interval that a share of independent trials leaves for the whole, at 95 % confidence.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the usual
    interval it says something where all trials went well.

    Example:
        >>> wilson_interval(1.0, 1000)
        (0.9961732416927886, 1.0)
    """
    quantile = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    spread = quantile**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    reach = quantile * math.sqrt((share * (1 - share) + spread / 4) / trials) / (1 + spread)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _layers_to_blame(
    checkpoint: Checkpoint,
    encodings: Sequence[Encoding],
    fp32: NDArray[np.float32],
    options: GraphOptions,
    on_stage: Stage,
    *,
    write: GraphWriter,
) -> tuple[str, ...]:
    """The layers that move probabilities most when each alone is int8, worst first."""
    linears = frozenset(encoder_linears(checkpoint.config))
    layer_to_difference = {}
    for layer in encoder_layers(checkpoint.config):
        on_stage(f"looking for the layers to blame: {layer}")
        alone = frozenset(linears_within(checkpoint.config, layer))
        only_this = replace(options, keep_fp32=options.keep_fp32 | (linears - alone))
        int8 = _written(checkpoint, encodings, only_this, write)
        layer_to_difference[layer] = judged(checkpoint, int8, fp32).mean_difference
    by_difference = sorted(layer_to_difference, key=layer_to_difference.__getitem__, reverse=True)
    return tuple(by_difference[:BLAMED_LAYERS])

"""The model card beside the models: where the network comes from, what it reads and how it was checked.

A card for people, in the manner of Mitchell et al. 2019, Model Cards for Model Reporting,
https://arxiv.org/abs/1810.03993. Programs read the manifest. The exporter cannot know how accurate
the model is: `bertriton evaluate` adds that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bertriton import __version__, contract
from bertriton_export.checkpoint import tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.repository.report import ExportReport

CARD_FILE: Final = "MODEL_CARD.md"

_MEGA: Final = 1e6
_NAMED_LABELS: Final = 100  # more are in the config alone
_TRUNCATION_TO_WORDS: Final = {
    "head": "the start is read",
    "tail": "the end is read",
    "head_tail": "the start and the end are read",
    "error": "nothing is read: it is refused",
    contract.IN_WINDOWS: "all is read, in windows",
}
_PROBLEM_TO_ANSWER: Final = {
    contract.SINGLE_LABEL: "one label a text; probabilities add up to 1",
    contract.MULTI_LABEL: "any number of labels a text; each has a probability by itself",
    contract.REGRESSION: "numbers, not labels",
}


def write_model_card(folder: Path, report: ExportReport, checkpoint: Checkpoint) -> None:
    """Write the card of a classifier into its ensemble's folder, where Triton looks at what it knows alone.

    Args:
        folder: of the ensemble, `NAME` in the repository.
        report: what was exported, and how well it agrees with the reference.
        checkpoint: what it was made from.
    """
    lines = "\n".join(_lines(report, checkpoint))
    (folder / CARD_FILE).write_text(lines + "\n", encoding="utf-8")


def _lines(report: ExportReport, checkpoint: Checkpoint) -> Iterator[str]:
    info = report.classifier
    yield from (f"# {info.name}", "")
    yield f"A text classifier for Triton Inference Server, exported by bertriton {__version__}."
    yield from ("", "## Model", "", "| | |", "|---|---|")
    for name, value in _facts(report, checkpoint).items():
        yield f"| {name} | {_cell(value)} |"
    yield from ("", "## Limits", "", *_limits(report))
    yield from ("", "## How the export was checked", "", *_checks(report))
    yield from ("", "## Use", "", *_use(info.name))


def _facts(report: ExportReport, checkpoint: Checkpoint) -> dict[str, str]:
    info, config = report.classifier, checkpoint.config
    parameters = sum(math.prod(shape) for shape in tensor_shapes(config).values())
    labels = ", ".join(f"`{label}`" for label in info.labels[:_NAMED_LABELS])
    more = f" and {len(info.labels) - _NAMED_LABELS} more" if len(info.labels) > _NAMED_LABELS else ""
    return {
        "source": f"`{checkpoint.path.name}`",
        **{f"source's {name}": f"`{value}`" for name, value in checkpoint.source.items()},
        "fingerprint of the export": f"`{info.fingerprint}`",
        "sha256 of its weights": f"`{info.checkpoint_sha256}`",
        "network": f"{config.num_hidden_layers} layers of {config.hidden_size}, "
        f"{config.num_attention_heads} heads, {parameters / _MEGA:.1f} million parameters",
        "tokenization": f"`{info.tokenization}`",
        "target": report.target,
        "precision": report.precision,
        "problem type": f"`{info.problem_type}`: {_PROBLEM_TO_ANSWER[info.problem_type]}",
        f"labels ({len(info.labels)})": labels + more,
    }


def _limits(report: ExportReport) -> Iterator[str]:
    info = report.classifier
    cut = _TRUNCATION_TO_WORDS[info.truncation]
    yield f"- It reads {info.max_length} tokens of a text. Of a longer one {cut} (`{info.truncation}`),"
    yield "  unless a request chooses otherwise with the parameter `truncation`."
    yield '  An answer to a part of a text says `truncated`; with `"windows"` all of it is read.'
    yield f"- A request holds {info.max_batch_size} texts at most."
    yield "- Languages: unknown. The checkpoint does not say what it was trained on."


def _checks(report: ExportReport) -> Iterator[str]:
    check = report.verification
    yield (
        f"- {report.verified} against a float64 reference, {check.texts} texts of {check.tokens} tokens: "
        f"they differ by {check.max_difference:.1e} at most (allowed {check.tolerance:.0e})."
    )
    if report.precision == "int8":
        yield f"- int8 graph against fp32: {report.int8 or 'not compared'}."


def _use(name: str) -> Iterator[str]:
    yield from ("```python", "from bertriton import Client", "", 'with Client("localhost:8001") as client:')
    yield from (f'    print(client.classify("A text.", model="{name}"))', "```", "")
    yield "How accurate it is on labelled texts, with the figures written into this card:"
    yield from ("", "```console")
    yield f"$ bertriton evaluate --data texts.csv --model {name} --update-card {CARD_FILE}"
    yield "```"


def _cell(text: str) -> str:
    """A cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")

"""The page of what can be exported, from the tables that the code goes by.

python -m bertriton_export.support > docs/supported.md
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from bertriton_export.checkpoint import (
    ARCHITECTURES,
    FOLLOWED,
    MODEL_TYPE_TO_CLASS,
    OTHER_TASKS,
    REFUSED_FAMILIES,
    REFUSED_TOKENIZERS,
    SPARKNLP_FAMILIES,
    TOKENIZERS,
)
from bertriton_export.reading import READERS, WEIGHT_FORMATS
from bertriton_export.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HEADER: Final = "<!-- Written by `python -m bertriton_export.support`; a test holds it to the code. -->"


def support_page() -> str:
    """Families, formats, tokenizers, targets, and what is refused with why, in Markdown."""
    parts = [
        ["# What can be exported", "", _HEADER],
        ["## Model families", "", *_families()],
        ["## Formats", "", *_formats()],
        ["## Tokenizers", "", *_tokenizers()],
        ["## Targets", "", *_targets()],
        ["## Refused", "", *_refused()],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _families() -> Iterator[str]:
    rows = [
        (f"`{one.model_type}`", f"`{one.name}`", one.summary, _class_of(one.model_type))
        for one in ARCHITECTURES.values()
    ]
    yield from _table(
        ("`model_type`", "class", "what sets it apart", "tokenizer where no file names one"), rows
    )


def _class_of(model_type: str) -> str:
    return (
        f"`{MODEL_TYPE_TO_CLASS[model_type]}`" if model_type in MODEL_TYPE_TO_CLASS else "none: a file must"
    )


def _formats() -> Iterator[str]:
    yield from _table(("format", "what it is"), [(one.format, one.holds) for one in READERS])
    yield ""
    yield "Of the weights in a Hugging Face folder, the first of these is read:"
    yield ""
    yield from _table(("weights", "file"), [(one.name, f"`{one.file}`") for one in WEIGHT_FORMATS])


def _tokenizers() -> Iterator[str]:
    yield "The class is that of tokenizer_config.json, else that of config.json, else that of the model type."
    yield f"A `tokenizer.json` is read where there is one. Ids are those of {FOLLOWED}."
    families = ", ".join(f"`{family}`" for family in SPARKNLP_FAMILIES)
    yield f"With `--tokenization sparknlp` they are those of Spark NLP, for these model types: {families}."
    yield ""
    rows = [
        (
            f"`{one.name}`",
            one.summary,
            ", ".join(f"`{file}`" for file in one.files) or "`tokenizer.json` alone",
        )
        for one in TOKENIZERS.values()
    ]
    yield from _table(("class, also with `Fast`", "kind", "without a `tokenizer.json`, built from"), rows)


def _targets() -> Iterator[str]:
    rows = [(f"`{name}`", one.summary, ", ".join(one.precisions)) for name, one in TARGETS.items()]
    yield from _table(("`--target`", "runs on", "precisions"), rows)


def _refused() -> Iterator[str]:
    rows = [(f"`model_type` `{name}`", why) for name, why in REFUSED_FAMILIES.items()]
    rows += [(f"`{name}`", why) for name, why in REFUSED_TOKENIZERS.items()]
    rows += [(f"`...{ending}`", "not a classifier of whole texts") for ending in OTHER_TASKS]
    rows.append(("any other `tokenizer_class`", "not in the table: a guess would serve wrong answers"))
    yield from _table(("what", "why, and what to do"), rows)


if __name__ == "__main__":
    sys.stdout.write(support_page())

"""What a served classifier looks like from outside: the one module that exporter and client share.

A classifier NAME is three Triton models:

    NAME             ensemble: text -> probabilities, logits, token_count, truncated, windows
    NAME_tokenizer   Python backend: text -> input_ids, token_type_ids, position_ids
    NAME_bert        the network: those three -> logits, probabilities

Standard library only, so that either side can import it for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTRACT_VERSION: Final = "1"

TOKENIZER_SUFFIX: Final = "_tokenizer"
BERT_SUFFIX: Final = "_bert"

# What a client sends: per row one string, or two for a text pair.
TEXT: Final = "text"  # BYTES [rows, 1 or 2], UTF-8

# What a client gets, one row per text.
PROBABILITIES: Final = "probabilities"  # FP32 [rows, labels]
LOGITS: Final = "logits"  # FP32 [rows, labels]
TOKEN_COUNT: Final = "token_count"  # INT32 [rows, 1], special tokens included, before truncation
TRUNCATED: Final = "truncated"  # BOOL [rows, 1]
WINDOWS: Final = "windows"  # INT32 [rows, 1], parts that a text was scored in

# What passes between tokenizer and network: all tokens of all texts of a batch, one after the other.
INPUT_IDS: Final = "input_ids"  # INT32 [tokens]
TOKEN_TYPE_IDS: Final = "token_type_ids"  # INT32 [tokens], 0 for the first text and 1 for the second
POSITION_IDS: Final = "position_ids"  # INT32 [tokens], 0 starts a text; below 0 are these:
PADDING_POSITION: Final = -1  # no token
NEXT_WINDOW_OF_MEAN: Final = -2  # position 0 of one more window of the same text; its windows are averaged
NEXT_WINDOW_OF_MAXIMUM: Final = -3  # likewise; of its windows each label's largest score counts

SINGLE_LABEL: Final = "single_label_classification"
MULTI_LABEL: Final = "multi_label_classification"
REGRESSION: Final = "regression"

DEFAULT_THRESHOLD: Final = 0.5  # probability from which a label counts, for MULTI_LABEL

_PARAMETER_PREFIX: Final = "bertriton."


class ContractError(ValueError):
    """A model's parameters are not those of a classifier this version can talk to."""


@dataclass(frozen=True)
class ClassifierInfo:
    """What the server says of one classifier, kept in the `parameters` of the ensemble's config.

    Example:
        >>> info = ClassifierInfo("imdb", ("neg", "pos"), SINGLE_LABEL, 512, 64, "5e0c")
        >>> ClassifierInfo.from_parameters("imdb", 64, info.to_parameters()) == info
        True
    """

    name: str  # the ensemble's name, what requests are sent to
    labels: tuple[str, ...]  # in the order of the logits
    problem_type: str  # SINGLE_LABEL, MULTI_LABEL or REGRESSION
    max_length: int  # tokens read of one text, special tokens included
    max_batch_size: int  # rows that the server takes in one request
    checkpoint_sha256: str  # of the weights the network was made from
    threshold: float = DEFAULT_THRESHOLD  # probability from which a label counts, for MULTI_LABEL

    def to_parameters(self) -> dict[str, str]:
        """The ensemble's config `parameters`; the name and the batch limit have fields of their own there."""
        fields = {
            "contract": CONTRACT_VERSION,
            "labels": json.dumps(list(self.labels), ensure_ascii=False),
            "problem_type": self.problem_type,
            "max_length": str(self.max_length),
            "checkpoint_sha256": self.checkpoint_sha256,
        }
        if self.problem_type == MULTI_LABEL:
            fields["threshold"] = repr(self.threshold)
        return {_PARAMETER_PREFIX + key: value for key, value in fields.items()}

    @classmethod
    def from_parameters(cls, name: str, max_batch_size: int, parameters: Mapping[str, str]) -> ClassifierInfo:
        """Read what `to_parameters` wrote.

        Raises:
            ContractError: a parameter is missing or malformed, or written by another contract version.
        """
        if not is_classifier(parameters):
            raise ContractError(
                f"model {name!r} is no classifier: it has no {_PARAMETER_PREFIX}contract parameter"
            )
        found = parameters[_PARAMETER_PREFIX + "contract"]
        if found != CONTRACT_VERSION:
            raise ContractError(
                f"model {name!r} follows contract {found}, this client {CONTRACT_VERSION}: "
                "export the model again or install the client of the same version"
            )
        try:
            return cls(
                name=name,
                labels=tuple(str(label) for label in json.loads(parameters[_PARAMETER_PREFIX + "labels"])),
                problem_type=parameters[_PARAMETER_PREFIX + "problem_type"],
                max_length=int(parameters[_PARAMETER_PREFIX + "max_length"]),
                max_batch_size=max_batch_size,
                checkpoint_sha256=parameters[_PARAMETER_PREFIX + "checkpoint_sha256"],
                threshold=float(parameters.get(_PARAMETER_PREFIX + "threshold", DEFAULT_THRESHOLD)),
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise ContractError(f"model {name!r} has unreadable parameters: {exc!r}") from exc


def is_classifier(parameters: Mapping[str, str]) -> bool:
    """Whether config parameters belong to a classifier's ensemble, of any contract version."""
    return _PARAMETER_PREFIX + "contract" in parameters

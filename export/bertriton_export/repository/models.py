"""The files of a classifier's three models, but for the network's graph, which its target writes."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bertriton import contract
from bertriton_export.errors import RepositoryError
from bertriton_export.repository.card import write_model_card
from bertriton_export.repository.configs import (
    LABELS_FILE,
    TOKENIZER_FILE,
    WARMUP_FOLDER,
    WARMUP_TEXT_FILE,
    model_configs,
    to_pbtxt,
)
from bertriton_export.repository.fingerprint import sha256_of_text
from bertriton_export.repository.manifest import MANIFEST_FILE, write_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from bertriton.contract import ClassifierInfo
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.repository.report import ExportReport
    from bertriton_export.targets import NetworkConfig

VERSION_FOLDER: Final = "1"
TOKENIZER_MODEL_FILES: Final = (
    "answers.py",
    "flow_control.py",
    "metrics.py",
    "model.py",
    "request.py",
    "rows.py",
    "sending.py",
    "texts.py",
    "waiting.py",
)

WARMUP_TEXT: Final = "A film of two hours."

MAX_NAME_CHARACTERS: Final = 200  # a file's name has 255 bytes at most, and a part's has a suffix
# Names are folders, URL parts and config values at once.
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def checked_name(name: str) -> str:
    """The name of a classifier, if Triton takes it.

    Raises:
        RepositoryError: it does not.
    """
    if not _MODEL_NAME.fullmatch(name):
        raise RepositoryError(
            f"{name!r} cannot name a model: "
            "use letters, digits, '_', '-' and '.', beginning with a letter or digit"
        )
    if len(name) > MAX_NAME_CHARACTERS:
        raise RepositoryError(
            f"a name of {len(name)} characters is too long for a model: use at most {MAX_NAME_CHARACTERS}"
        )
    return name


def write_models(
    repository: Path, info: ClassifierInfo, checkpoint: Checkpoint, network: NetworkConfig
) -> Path:
    """Write configs, labels, warm-up data and the tokenizer model, and give the folder for the graph.

    Args:
        repository: where the three folders go; none of them is there.
        info: what the ensemble tells clients.
        checkpoint: whose tokenizer is served.
        network: how the network is served.
    """
    configs = model_configs(info, network, sha256_of_text(checkpoint.tokenizer_json))
    _write_configs(repository, info, configs, network)
    _write_tokenizer(repository / (info.name + contract.TOKENIZER_SUFFIX) / VERSION_FOLDER, checkpoint)
    return repository / (info.name + contract.BERT_SUFFIX) / VERSION_FOLDER


def write_records(
    folder: Path, report: ExportReport, checkpoint: Checkpoint, facts: Mapping[str, Any]
) -> None:
    """Write the manifest for programs, then the card for people.

    The card is in no hash, since an evaluation changes it.

    Args:
        folder: of the ensemble, with the folders of its parts beside it.
        report: what was exported, and how well it agrees with the reference.
        checkpoint: what it was made from.
        facts: what only the target knows; JSON values.
    """
    write_manifest(folder / VERSION_FOLDER / MANIFEST_FILE, folder.parent, report, checkpoint, facts)
    write_model_card(folder, report, checkpoint)


def _write_configs(
    repository: Path, info: ClassifierInfo, configs: Mapping[str, ModelConfig], network: NetworkConfig
) -> None:
    for name, config in configs.items():
        (repository / name / VERSION_FOLDER).mkdir(parents=True)  # Triton wants one even where it is empty
        (repository / name / "config.pbtxt").write_text(to_pbtxt(config), encoding="utf-8")
    bert = repository / (info.name + contract.BERT_SUFFIX)
    (bert / LABELS_FILE).write_text("".join(f"{label}\n" for label in info.labels), encoding="utf-8")
    (bert / WARMUP_FOLDER).mkdir()
    for warmup in network.warmups:
        positions = np.arange(warmup.tokens, dtype="<i4")
        (bert / WARMUP_FOLDER / warmup.file).write_bytes(positions.tobytes())
    tokenizer = repository / (info.name + contract.TOKENIZER_SUFFIX)
    (tokenizer / WARMUP_FOLDER).mkdir()
    (tokenizer / WARMUP_FOLDER / WARMUP_TEXT_FILE).write_bytes(_as_triton_has_it(WARMUP_TEXT))


def _as_triton_has_it(text: str) -> bytes:
    """A text as raw data of a tensor: its length in bytes, and these."""
    content = text.encode()
    return len(content).to_bytes(4, "little") + content


def _write_tokenizer(folder: Path, checkpoint: Checkpoint) -> None:
    with resources.as_file(resources.files(__package__) / "triton") as source:
        for name in TOKENIZER_MODEL_FILES:
            shutil.copyfile(source / name, folder / name)
    (folder / TOKENIZER_FILE).write_text(checkpoint.tokenizer_json, encoding="utf-8")

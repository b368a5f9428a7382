"""Download a checkpoint from the Hugging Face hub: only the files a reader needs, never code."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from bertriton_export.checkpoint import TOKENIZER_FILES, is_there
from bertriton_export.errors import CheckpointError, cut
from bertriton_export.reading.adapter import ADAPTER_FILE, ADAPTER_WEIGHTS
from bertriton_export.reading.weight_formats import WEIGHT_FORMATS

if TYPE_CHECKING:
    from bertriton_export.reading.weight_formats import WeightFormat

_HUB_ID: Final = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w.-]+(/[\w.-]+)*))?"
)
DEFAULT_REVISION: Final = "main"
_SHOWN_CHARACTERS: Final = 300  # of the names of a model's files
# Classifiers that the hub once had without an organisation, and where they are now.
_MOVED: Final = {
    name: f"{organisation}/{name}"
    for organisation, name in (
        ("distilbert", "distilbert-base-uncased-finetuned-sst-2-english"),
        ("FacebookAI", "roberta-large-mnli"),
        ("google-bert", "bert-base-cased-finetuned-mrpc"),
        ("openai-community", "roberta-base-openai-detector"),
        ("openai-community", "roberta-large-openai-detector"),
    )
}
# Everything but weights that a reader may look at.
SMALL_FILES: Final = ("config.json", ADAPTER_FILE, *TOKENIZER_FILES)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form `org/name` or `org/name@revision`, or is that of one of the hub's first."""
    return _HUB_ID.fullmatch(_with_organisation(name)) is not None


def _with_organisation(name: str) -> str:
    model, at, revision = name.partition("@")
    return _MOVED.get(model, model) + at + revision


def hub_model_name(hub_id: str) -> str:
    """The last part of a hub id, without the revision.

    Example:
        >>> hub_model_name("textattack/bert-base-uncased-imdb@main")
        'bert-base-uncased-imdb'
    """
    return hub_id.partition("@")[0].rpartition("/")[2]


def download_checkpoint(hub_id: str) -> Path:
    """Fetch a model repository into huggingface_hub's cache, with its progress bars, and give the folder.

    Only the first weight format that a reader knows is fetched. Where the hub cannot be reached, what the
    cache holds of the revision is taken.

    Args:
        hub_id: `org/name`, or `org/name@revision` with a branch, tag or commit.

    Raises:
        CheckpointError: there is no such repository or revision, it is not open to this account, or the hub
            cannot be reached and the cache does not hold it.
    """
    found = _HUB_ID.fullmatch(_with_organisation(hub_id))
    if found is None:
        raise CheckpointError(Path(hub_id), "not a hub id: expected org/name or org/name@revision")
    repository, revision = found["repository"], found["revision"] or DEFAULT_REVISION
    try:
        return _download(repository, revision)
    except CheckpointError:
        raise
    except RevisionNotFoundError as exc:
        raise CheckpointError(Path(hub_id), f"the hub's model has no revision {revision!r}") from exc
    except (RepositoryNotFoundError, GatedRepoError) as exc:
        raise CheckpointError(
            Path(hub_id),
            "neither a local path nor a hub model that is open to you (`hf auth login` opens yours)",
        ) from exc
    except Exception as exc:  # each version of the library has the errors of another HTTP client
        reason = str(exc).partition("\n")[0]
        if isinstance(exc, RuntimeError) and "home directory" in reason:  # pathlib's words
            reason = "this user has no home directory: set HF_HOME to a folder that can be written to"
        raise CheckpointError(Path(hub_id), f"cannot be downloaded from the hub: {reason}") from exc


def _download(repository: str, revision: str) -> Path:
    try:
        siblings = HfApi().model_info(repository, revision=revision).siblings or []
    except HfHubHTTPError:
        raise
    except Exception as exc:  # noqa: BLE001 (no answer, in the words of whichever HTTP client)
        return _cached(repository, revision, exc)
    names = {file.rfilename for file in siblings}
    for weight_format in WEIGHT_FORMATS:
        if names & {weight_format.file, weight_format.shard_index}:
            patterns = [*SMALL_FILES, *ADAPTER_WEIGHTS, *_patterns(weight_format)]
            return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    if ADAPTER_FILE in names:
        patterns = [*SMALL_FILES, *ADAPTER_WEIGHTS]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    shown = cut(", ".join(sorted(names)), _SHOWN_CHARACTERS)
    raise CheckpointError(Path(repository), f"the hub's model has no weights in a known format, only {shown}")


def _cached(repository: str, revision: str, unreachable: Exception) -> Path:
    own_files = [[weight_format.file, weight_format.shard_index] for weight_format in WEIGHT_FORMATS]
    patterns = [_patterns(weight_format) for weight_format in WEIGHT_FORMATS]
    for wanted, names in zip([*patterns, []], [*own_files, [ADAPTER_FILE]], strict=True):
        with suppress(LocalEntryNotFoundError):
            # The library calls a snapshot incomplete that lacks a file of these patterns.
            allowed = [*SMALL_FILES, *ADAPTER_WEIGHTS, *wanted]
            folder = Path(
                snapshot_download(
                    repository, revision=revision, allow_patterns=allowed, local_files_only=True
                )
            )
            if any(is_there(folder / name) for name in names):
                return folder
    reason = str(unreachable).partition("\n")[0]
    raise CheckpointError(
        Path(repository),
        f"no local path, not in the cache at revision {revision!r}, and the hub cannot be reached"
        f"{_through_proxy()}: {reason}",
    ) from unreachable


def _through_proxy() -> str:
    """Words for the proxy that the environment names, without the password that its address may have."""
    hub = urlsplit(ENDPOINT)
    proxies = getproxies()
    scheme = next((scheme for scheme in (hub.scheme, "all") if proxies.get(scheme)), None)
    if scheme is None or proxy_bypass(hub.hostname or ""):
        return ""
    address = proxies[scheme].rpartition("@")[2].rpartition("//")[2].rstrip("/")
    return f" through the proxy {address}, which {scheme}_proxy of the environment names"


def _patterns(weight_format: WeightFormat) -> list[str]:
    file = PurePosixPath(weight_format.file)
    patterns = [str(file), weight_format.shard_index, f"{file.stem}-*-of-*{file.suffix}"]
    return (
        [*patterns, str(file.with_name(weight_format.data_pattern))]
        if weight_format.data_pattern
        else patterns
    )

"""Special and added tokens: what every file says of them, and how they come into a tokenizer.

The rules are those of Transformers 4.57 (tokenization_utils_base.py and tokenization_utils_fast.py): where
tokenizer_config.json has `added_tokens_decoder`, special_tokens_map.json and added_tokens.json are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tokenizers import AddedToken

from bertriton_export.checkpoint.settings import is_text, short
from bertriton_export.checkpoint.tokenizer.sources import ADDED_TOKENS_FILE, TOKENIZER_FILE
from bertriton_export.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tokenizers import Tokenizer

    from bertriton_export.checkpoint.settings import Settings
    from bertriton_export.checkpoint.tokenizer.sources import Sources

ROLES: Final = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
# Keys of further special tokens; Transformers 5 writes the second.
FURTHER: Final = ("additional_special_tokens", "extra_special_tokens")
_ADDED_TOKENS: Final = "added_tokens_decoder"
_TOKEN_FLAGS: Final = ("lstrip", "rstrip", "single_word", "normalized", "special")
_TOKEN_ID: Final = re.compile(r"0|[1-9][0-9]{0,8}")  # one way to write each
_LARGEST_ID: Final = 10**9

Token = str | AddedToken


@dataclass(frozen=True)
class Defaults:
    """The special tokens of a class where no file tells of them."""

    roles: Mapping[str, str]
    # Role -> flags of a token that is written as plain text; others have those of special tokens.
    flags: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    further: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """What the files say."""

    roles: dict[str, Token]
    further: tuple[Token, ...]
    declared: dict[int, AddedToken]  # tokens that must have this id

    def text(self, role: str) -> str | None:
        """The token of a role, None where there is none."""
        return content_of(self.roles[role]) if role in self.roles else None


def content_of(token: Token) -> str:
    """The text of a token."""
    return token if isinstance(token, str) else str(token.content)


def read_tokens(sources: Sources, defaults: Defaults) -> Tokens:
    """Read what all files say of special and added tokens.

    Raises:
        CheckpointError: a token or an id is of a wrong kind.
    """
    settings = sources.settings
    told = dict(_told(settings))
    further = _further(settings)
    if settings.section(_ADDED_TOKENS):
        declared = _declared(settings)
        known = {token.content: token for token in declared.values()}
    else:
        told |= _told(sources.special_tokens, special=True)
        further += _further(sources.special_tokens)
        known = {token.content: token for token in saved_tokens(sources).values()}
        names = {content_of(token) for token in (*told.values(), *further) if token is not None}
        declared = _added(sources, names)
    roles: dict[str, Token] = {}
    for role in ROLES:
        token = told.get(role, defaults.roles.get(role))
        if token is not None:
            token = known.get(content_of(token), token) if role in told else token
            roles[role] = _with_flags(token, defaults.flags.get(role))
    return Tokens(roles, tuple(further or defaults.further), declared)


def add_tokens(tokenizer: Tokenizer, tokens: Tokens, vocab_size: int, file: Path) -> list[str]:
    """Add all tokens, and give those left out: that nothing declares, and no embedding is there for.

    Raises:
        CheckpointError: a token does not get the id that a file says.
    """
    there = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    declared = [token for _, token in sorted(tokens.declared.items())]
    known = there.keys() | {token.content for token in declared}
    named = list(_distinct((*tokens.roles.values(), *tokens.further)))
    special = {content_of(token) for token in named}
    adding = [_special(token, token.special or token.content in special) for token in declared]
    adding += [
        _special(token, special=True) for token in named if not (isinstance(token, str) and token in known)
    ]
    adding = [_added_again(there.get(token.content), token) for token in adding]
    fitting, left_out = _fitting(tokenizer, adding, known, vocab_size)
    tokenizer.add_tokens(fitting)
    for token_id, token in tokens.declared.items():
        if tokenizer.token_to_id(token.content) != token_id:
            raise CheckpointError(file, f"token {short(token.content)} does not get its id {token_id}")
    return left_out


def _fitting(
    tokenizer: Tokenizer, adding: list[AddedToken], known: set[str], vocab_size: int
) -> tuple[list[AddedToken], list[str]]:
    # The library gives a new token the first id behind the vocabulary and all added tokens.
    ids = [token_id + 1 for token_id in tokenizer.get_added_tokens_decoder()]
    free = max([tokenizer.get_vocab_size(with_added_tokens=False), *ids])
    fitting: list[AddedToken] = []
    new: set[str] = set()
    left_out = []
    for token in adding:
        is_new = token.content not in new and tokenizer.token_to_id(token.content) is None
        if is_new and token.content not in known and free + len(new) >= vocab_size:
            left_out.append(token.content)
            continue
        new |= {token.content} if is_new else set()
        fitting.append(token)
    return fitting, left_out


def saved_tokens(sources: Sources) -> dict[int, AddedToken]:
    """The added tokens that tokenizer.json has, by id."""
    entries = (sources.saved or {}).get("added_tokens") or []
    file = sources.folder / TOKENIZER_FILE
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CheckpointError(file, f"added_tokens: expected a list of tokens, found {short(entries)}")
    return {
        _token_id(file, entry.get("id")): _added_token(file, "added_tokens", entry, special=False)
        for entry in entries
    }


def _told(settings: Settings, *, special: bool = False) -> Iterator[tuple[str, Token | None]]:
    for role in ROLES:
        if role in settings:
            token = settings.get(role)
            yield role, None if token is None else _token(settings.file, role, token, special=special)


def _further(settings: Settings) -> list[Token]:
    tokens: list[Token] = []
    for key in FURTHER:
        value = settings.get(key) or []
        entries = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(entries, list):
            raise CheckpointError(settings.file, f"{key}: expected a list of tokens, found {short(value)}")
        tokens += [_token(settings.file, key, entry, special=True) for entry in entries]
    return tokens


def _declared(settings: Settings) -> dict[int, AddedToken]:
    section = settings.section(_ADDED_TOKENS)
    if not all(_TOKEN_ID.fullmatch(key) for key in section):
        raise CheckpointError(settings.file, f"{_ADDED_TOKENS}: expected ids as keys, found {short(section)}")
    return {
        int(key): _added_token(settings.file, f"{_ADDED_TOKENS} {key}", token, special=False)
        for key, token in section.items()
    }


def _added(sources: Sources, special: set[str]) -> dict[int, AddedToken]:
    file = sources.folder / ADDED_TOKENS_FILE
    saved = saved_tokens(sources)
    by_id = {_token_id(file, token_id): content for content, token_id in sources.added_tokens.items()}
    return {
        token_id: saved.get(token_id)
        or AddedToken(content, normalized=content not in special, special=content in special)
        for token_id, content in by_id.items()
    }


def _token(file: Path, role: str, token: Any, *, special: bool) -> Token:  # noqa: ANN401 (JSON)
    return token if is_text(token) else _added_token(file, role, token, special=special)


def _added_token(file: Path, role: str, token: Any, *, special: bool) -> AddedToken:  # noqa: ANN401 (JSON)
    """A token is written either as its text or as an object that holds it."""
    written = token if isinstance(token, dict) else {"content": token}
    flags = {key: written[key] for key in _TOKEN_FLAGS if key in written}
    if not is_text(written.get("content")) or not all(isinstance(flag, bool) for flag in flags.values()):
        raise CheckpointError(file, f"{role}: expected a token's text and its flags, found {short(token)}")
    return AddedToken(written["content"], **({"special": True} if special else {}), **flags)


def _token_id(file: Path, token_id: Any) -> int:  # noqa: ANN401 (JSON)
    if not isinstance(token_id, int) or isinstance(token_id, bool) or not 0 <= token_id < _LARGEST_ID:
        raise CheckpointError(file, f"expected the id of a token, found {short(token_id)}")
    return token_id


def _with_flags(token: Token, flags: Mapping[str, bool] | None) -> Token:
    return AddedToken(token, **flags) if isinstance(token, str) and flags is not None else token


def _special(token: Token, special: bool) -> AddedToken:  # noqa: FBT001 (is the value)
    if isinstance(token, str):
        return AddedToken(token, special=special)
    flags = {key: getattr(token, key) for key in _TOKEN_FLAGS} | {"special": special}
    return AddedToken(token.content, **flags)


def _added_again(before: AddedToken | None, token: AddedToken) -> AddedToken:
    """A token as it works when it is added over another of its text.

    In the tokenizers library that Transformers 4.57 runs (0.22), whether a token is looked for before or
    after normalisation stays as it was first said; since 0.23 it is as it was said last.
    """
    if before is None:
        return token
    is_normalized = before.normalized or (token.normalized and not before.special)
    flags = {key: getattr(token, key) for key in _TOKEN_FLAGS} | {"normalized": is_normalized}
    return AddedToken(token.content, **flags)


def _distinct(tokens: Iterable[Token]) -> Iterator[Token]:
    seen: set[str] = set()
    for token in tokens:
        if content_of(token) not in seen:
            seen.add(content_of(token))
            yield token

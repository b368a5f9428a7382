"""The metadata of every request: headers of the caller, his token and his key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from bertriton._config import API_KEY_HEADER, valid_kind
from bertriton._errors import InvalidOptionError

# What gRPC takes as metadata.
_HEADER_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_INVISIBLE: Final = re.compile(r"[^ -~]+")
_BINARY_SUFFIX: Final = "-bin"  # of names whose values are bytes, of any kind

Headers = Mapping[str, str | bytes]


def all_headers(headers: Headers | None, token: str | None, api_key: str | None) -> dict[str, str | bytes]:
    """Everything that goes along with a request, by names in lower case.

    Raises:
        InvalidOptionError: gRPC would not take it, or a credential is given twice; no value is shown.
    """
    merged = _checked_headers(headers)
    for name, option, value, prefix in (
        ("authorization", "token", token, "Bearer "),
        (API_KEY_HEADER, "api_key", api_key, ""),
    ):
        if value is None:
            continue
        if name in merged:
            raise InvalidOptionError(f"{option}: headers sets {name!r} already: give one of the two")
        _require_visible(option, value)
        merged[name] = prefix + value
    return merged


def _checked_headers(headers: Headers | None) -> dict[str, str | bytes]:
    valid_kind("headers", headers, (Mapping, type(None)), "a mapping of names to values")
    checked: dict[str, str | bytes] = {}
    for name, value in (headers or {}).items():
        valid_kind("headers", name, str, "names that are strings")
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(lower):
            raise InvalidOptionError(
                f"headers: expected names of ASCII letters, digits, '-', '_' and '.', found {lower!r}"
            )
        if lower.endswith(_BINARY_SUFFIX):
            valid_kind(f"headers[{lower!r}]", value, bytes, "bytes, as the name ends with -bin")
        else:
            _require_visible(f"headers[{lower!r}]", value)
        checked[lower] = value
    return checked


def _require_visible(option: str, value: object) -> None:
    """See that gRPC takes it, which says "Invalid metadata" otherwise; a secret is not shown."""
    odd = _INVISIBLE.search(valid_kind(option, value, str, "a string"))
    if odd:
        at_end = ", at its end" if odd.end() == len(odd.string) else ""
        raise InvalidOptionError(
            f"{option}: expected visible ASCII characters, found {odd.group()!r}{at_end}"
        )

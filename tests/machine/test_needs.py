"""A test that lacks something is skipped with the reason, and fails where CI could have had it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import needs
import pytest
from _pytest.outcomes import Failed, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).parents[1]
ABSENT = needs.Need(lambda: False, "no such thing: install it")


@pytest.fixture
def item(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.Item]:
    """This test as one that needs what is not there, on an x86-64 Debian."""

    def make(*, ci: str, root: bool) -> pytest.Item:
        monkeypatch.setattr(needs, "NEEDS", {"absent": ABSENT, "present": needs.Need(lambda: True, "")})
        monkeypatch.setattr(needs, "_is_debian", lambda: True)
        monkeypatch.setattr(needs, "_is_x86_64", lambda: True)
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setenv("CI", ci)
        request.node.add_marker(pytest.mark.needs("present", "absent"))
        assert isinstance(request.node, pytest.Item)
        return request.node

    return make


@pytest.mark.parametrize(("ci", "root"), [("", True), ("true", False)])
def test_what_is_lacking_is_the_reason_of_a_skip(
    item: Callable[..., pytest.Item], ci: str, *, root: bool
) -> None:
    with pytest.raises(Skipped, match=r"^no such thing: install it$"):
        needs.require_needs(item(ci=ci, root=root))


def test_ci_skips_nothing_that_it_could_have(item: Callable[..., pytest.Item]) -> None:
    with pytest.raises(Failed, match="no such thing: install it"):
        needs.require_needs(item(ci="true", root=True))


def test_a_fixture_can_be_what_needs_something(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "NEEDS", {"absent": ABSENT})
    monkeypatch.setattr(needs, "FIXTURE_TO_NEEDS", {"request": ("absent",)})

    assert needs.what_lacks(request.node) == [ABSENT.reason]


def test_every_need_and_fixture_that_is_named_exists() -> None:
    texts = [file.read_text(encoding="utf-8") for file in TESTS.rglob("*.py") if file != Path(__file__)]
    named = {name for text in texts for name in re.findall(r'mark\.needs\("([\w-]+)"', text)}

    assert named | {name for names in needs.FIXTURE_TO_NEEDS.values() for name in names} == set(needs.NEEDS)
    for fixture in needs.FIXTURE_TO_NEEDS:
        assert any(re.search(rf"^def {fixture}\(", text, re.MULTILINE) for text in texts), fixture

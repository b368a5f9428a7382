"""Only a tag of the version, with its day in the changelog, is released."""

from __future__ import annotations

import pytest

from check_tag import problems

MODULE = '"""A client."""\n__version__ = "1.2.0"\n'
DATED = "# Changelog\n\n## [1.2.0] - 2026-11-26\n\n## [1.1.0] - 2026-01-01\n"


def test_a_dated_version_may_be_released() -> None:
    assert list(problems("v1.2.0", MODULE, DATED)) == []


@pytest.mark.parametrize(
    ("tag", "changelog", "problem"),
    [
        ("v1.3.0", DATED, "the tag is v1.3.0, expected v1.2.0"),
        ("1.2.0", DATED, "the tag is 1.2.0, expected v1.2.0"),
        (
            "v1.2.0",
            DATED.replace("2026-11-26", "unreleased"),
            "begins with '## [1.2.0] - unreleased', expected",
        ),
        ("v1.2.0", "# Changelog\n", "begins with 'nothing', expected"),
        ("v1.2.0", "## [1.3.0] - 2026-11-27\n\n" + DATED, "begins with '## [1.3.0] - 2026-11-27'"),
    ],
)
def test_anything_else_is_refused_with_the_reason(tag: str, changelog: str, problem: str) -> None:
    (found,) = problems(tag, MODULE, changelog)

    assert problem in found

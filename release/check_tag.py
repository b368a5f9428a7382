"""Whether a tag may be released: version and changelog must say so.

python release/check_tag.py v0.2.0
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent


def problems(tag: str, module: str, changelog: str) -> Iterator[str]:
    """What speaks against a release.

    Args:
        tag: such as v0.2.0.
        module: text of `bertriton/__init__.py`, which has the version.
        changelog: text of CHANGELOG.md.
    """
    (version,) = re.findall(r'^__version__ = "(.*)"$', module, re.MULTILINE)
    if tag != f"v{version}":
        yield f"the tag is {tag}, expected v{version}: client/bertriton/__init__.py has the version"
    first = next(iter(re.findall(r"^## .*$", changelog, re.MULTILINE)), "nothing")
    if not re.fullmatch(rf"## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", first):
        yield f"CHANGELOG.md begins with {first!r}, expected '## [{version}] - ' and the day of the release"


if __name__ == "__main__":
    texts = [(ROOT / name).read_text("utf-8") for name in ("client/bertriton/__init__.py", "CHANGELOG.md")]
    found = list(problems(sys.argv[1], *texts))
    sys.exit("\n".join(f"Error: {problem}" for problem in found))

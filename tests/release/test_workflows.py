"""GitHub's workflows follow its schema, run the Makefile's targets, and may do no more than they must."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAY_WRITE = {
    ("docs", "deploy"): {"id-token", "pages"},
    ("release", "announce"): {"contents"},
    ("release", "publish"): {"id-token"},
}


def parsed(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def test_lint_tests_docs_images_and_release_are_there() -> None:
    assert [file.stem for file in WORKFLOWS] == ["docs", "images", "lint", "release", "tests"]


def test_they_follow_the_schema() -> None:
    command = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    subprocess.run([*command, *WORKFLOWS], check=True)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_its_commit(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text(encoding="utf-8"))

    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_jobs_read_and_write_only_what_they_must(file: Path) -> None:
    workflow = parsed(file)

    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"]
        permissions = job.get("permissions", {})
        assert set(permissions) == MAY_WRITE.get((file.stem, name), set())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_checkouts_leave_no_credentials_behind(file: Path) -> None:
    steps = [step for job in parsed(file)["jobs"].values() for step in job["steps"]]

    for step in steps:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False

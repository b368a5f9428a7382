"""The order of the rooms as docs/design.md has it: imports run down, and through doors."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
PACKAGES = (
    "bertriton",
    "bertriton_bench",
    "bertriton_demo",
    "bertriton_evaluate",
    "bertriton_export",
    "bertriton_nlu",
    "bertriton_server",
    "bertriton_spark",
    "bertriton_ui",
    "comparisons",
)
MAX_MODULES_OF_A_ROOM = 15
OWN_NAMES = "__init__"  # of a package, which its commands use as everybody does

Import = tuple[str, str]  # importer, imported
Floors = list[list[str]]  # of a room, the upper first


def read_orders(document: str) -> dict[str, Floors]:
    """The blocks of a document that tell the order of a room."""
    blocks = re.findall(r"^```rooms (\S+)\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    return {room: [line.split() for line in floors.splitlines()] for room, floors in blocks}


ORDERS = read_orders(DESIGN)


def running_up(imports: list[Import], room: str, floors: Floors) -> list[Import]:
    """Imports among the parts of a room that do not go down; a room's own names come from all its parts."""
    part_to_floor = {part: floor for floor, parts in enumerate(floors) for part in parts}
    prefix = "" if room == "packages" else f"{room}."

    def part(module: str) -> str:
        return module.removeprefix(prefix).partition(".")[0]

    def floor(module: str) -> int:
        return part_to_floor.get(OWN_NAMES, -1) if module == room else part_to_floor[part(module)]

    return [
        (importer, imported)
        for importer, imported in imports
        if importer.startswith(prefix)
        and f"{imported}.".startswith(prefix)
        and part(importer) != part(imported)
        and floor(importer) >= floor(imported)
    ]


def past_a_door(imports: list[Import]) -> list[Import]:
    """Imports that go further into a room from outside than its own names."""

    def is_past(importer: str, imported: str) -> bool:
        pairs = zip(f"{importer}.".split("."), imported.split("."), strict=False)
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        # Of another package, the door is one of its rooms or modules.
        return imported.count(".") > (shared or 1)

    return [pair for pair in imports if is_past(*pair)]


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    """Every import of the packages, those for type checkers included."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return [
        (importer, imported)
        for importer in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
    ]


def modules_of(room: str) -> set[str]:
    """The parts of a room as they lie in its folder."""
    (folder,) = ROOT.glob(f"*/{room.replace('.', '/')}")
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    return rooms | {path.stem for path in folder.glob("*.py")}


@pytest.mark.parametrize("room", sorted(ORDERS))
def test_imports_run_down(imports: list[Import], room: str) -> None:
    assert running_up(imports, room, ORDERS[room]) == []


def test_nobody_reaches_past_a_door(imports: list[Import]) -> None:
    assert past_a_door(imports) == []


@pytest.mark.parametrize("room", sorted(set(ORDERS) - {"packages"}))
def test_every_part_of_a_room_has_its_floor(room: str) -> None:
    named = [part for floor in ORDERS[room] for part in floor]

    assert sorted({*named, "__init__", "__main__"}) == sorted({*modules_of(room), "__init__", "__main__"})
    assert len(named) == len(set(named))


def test_every_package_has_its_order() -> None:
    assert {"packages", *PACKAGES} <= set(ORDERS)
    assert {part for floor in ORDERS["packages"] for part in floor} == set(PACKAGES)


def test_a_room_can_be_overlooked() -> None:
    """No folder of modules has more than a reader can hold."""
    folders = {path.parent for package in PACKAGES for path in ROOT.glob(f"*/{package}/**/*.py")}

    assert {
        folder.name for folder in folders if len(list(folder.glob("*.py"))) > MAX_MODULES_OF_A_ROOM
    } == set()


@pytest.mark.parametrize(
    ("importer", "imported", "is_up", "is_past"),
    [
        ("house.cellar.wine", "house.attic", True, False),
        ("house.cellar.wine", "house.attic.box", True, True),
        ("house.attic.box", "house.cellar", False, False),
        ("house.attic.box", "house.cellar.wine", False, True),
        ("house.cellar.wine", "house.cellar.rack", False, False),
        ("house.cellar.wine", "house.cellar.shelf.jar", False, True),
        ("house.hall", "house.stairs", True, False),
        ("house.cellar.wine", "house", True, False),
        ("house", "house.cellar", False, False),
        ("house.cellar", "house.cellar.wine", False, False),
        ("garden.shed", "house.cellar", False, False),
        ("garden.shed", "house.cellar.wine", False, True),
    ],
)
def test_the_rules_see_what_breaks_them(importer: str, imported: str, *, is_up: bool, is_past: bool) -> None:
    floors = [["__init__"], ["attic"], ["hall", "stairs"], ["cellar"]]

    assert bool(running_up([(importer, imported)], "house", floors)) == is_up
    assert bool(past_a_door([(importer, imported)])) == is_past

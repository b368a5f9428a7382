"""Archives of strangers cannot lead out, swell or lie."""

from __future__ import annotations

import stat
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertriton_export import CheckpointError, ExportError
from bertriton_export.reading.files.archive import (
    MAX_COMPRESSION_RATIO,
    MAX_MEMBERS,
    Archive,
    Folder,
    open_tree,
)
from bertriton_export.reading.files.mapped_file import map_file

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"what is in it " * 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An honest archive with a stored and a compressed member."""
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("stored", TEXT)
        archive.writestr("folder/deflated", TEXT, zipfile.ZIP_DEFLATED)
        archive.writestr("empty", b"", zipfile.ZIP_DEFLATED)
    return tmp_path / "good.zip"


def test_members_are_read_whether_stored_or_compressed(file: Path) -> None:
    archive = open_tree(file)

    assert ["empty", "folder/deflated", "stored"] == archive.names()
    assert [b"", TEXT, TEXT] == [bytes(archive.read(name)) for name in archive.names()]


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/passwd", "C:/windows", "a\\..\\b", "..", "\\\\host\\share"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, TEXT)

    with pytest.raises(CheckpointError, match="leads out of the archive"):
        open_tree(tmp_path / "bad.zip")


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(CheckpointError, match="'link' is a symbolic link"):
        open_tree(tmp_path / "bad.zip")


def test_bombs_are_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))

    with pytest.raises(CheckpointError, match=f"would unpack to 10000000 .* {MAX_COMPRESSION_RATIO} times"):
        open_tree(tmp_path / "bad.zip")


def test_bombs_that_lie_about_their_size_are_refused(tmp_path: Path) -> None:
    """The directory claims ten bytes, the stream holds ten million."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    content = (tmp_path / "bad.zip").read_bytes()
    lie = content.replace((10**7).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "bad.zip").write_bytes(lie)

    with pytest.raises(CheckpointError, match="'zeros' cannot be read: its content is not of the size"):
        open_tree(tmp_path / "bad.zip").read("zeros")


def test_more_members_than_any_model_has_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for index in range(MAX_MEMBERS + 1):
            archive.writestr(str(index), b"")

    with pytest.raises(CheckpointError, match=f"expected at most {MAX_MEMBERS}"):
        open_tree(tmp_path / "bad.zip")


def test_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("same", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("same", b"second")

    with pytest.raises(CheckpointError, match="stands in it twice"):
        open_tree(tmp_path / "bad.zip")


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("member", TEXT)

    with pytest.raises(CheckpointError, match="'member' is neither stored nor deflated"):
        open_tree(tmp_path / "bad.zip")


def test_encrypted_members_are_refused(file: Path) -> None:
    """The flag alone: the standard library writes no encrypted archives."""
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match="is encrypted"):
        open_tree(file)


def test_names_that_the_directory_exchanges_are_refused(tmp_path: Path) -> None:
    """Each goes with the checksum and the place of its content, so that two tensors would change places."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("data/1", TEXT)
        archive.writestr("data/2", TEXT.upper())
    content = (tmp_path / "bad.zip").read_bytes()
    directory = content.index(b"PK\x01\x02")
    exchanged = content[directory:].replace(b"data/1", b"data/x").replace(b"data/2", b"data/1")
    (tmp_path / "bad.zip").write_bytes(content[:directory] + exchanged.replace(b"data/x", b"data/2"))

    tree = open_tree(tmp_path / "bad.zip")

    for name in ("data/1", "data/2"):
        with pytest.raises(CheckpointError, match=f"{name}' cannot be read: its header contradicts"):
            tree.read(name)


@pytest.mark.parametrize(("place", "value"), [(6, 0x1), (6, 0x20), (7, 0x20), (8, zipfile.ZIP_DEFLATED)])
def test_headers_of_another_kind_than_the_directory_tells_are_refused(
    file: Path, place: int, value: int
) -> None:
    """Encrypted, patched, or compressed, by the header of the member alone."""
    content = bytearray(file.read_bytes())
    content[place] |= value
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match="'stored' cannot be read: its header contradicts"):
        open_tree(file).read("stored")


def test_names_beyond_ascii_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("très bien", TEXT)

    assert TEXT == bytes(open_tree(tmp_path / "good.zip").read("très bien"))


def test_zips_of_a_later_version_are_refused(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 255
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match="not a whole zip file: zip file version"):
        open_tree(file)


def test_damaged_member_is_refused_by_its_checksum(file: Path) -> None:
    compressed = zlib.compress(TEXT)[2:-4]
    content = file.read_bytes()
    place = content.rindex(compressed[:6])
    file.write_bytes(content[:place] + b"\xff" + content[place + 1 :])

    with pytest.raises(CheckpointError, match="'folder/deflated' cannot be read"):
        open_tree(file).read("folder/deflated")


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("place", [0, len(TEXT) // 2, -1])
def test_damaged_stored_member_is_refused_by_its_checksum(file: Path, place: int, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(TEXT) + place % len(TEXT)] ^= 1 << bit
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"good\.zip: member 'stored' cannot be read: .* is damaged"):
        open_tree(file).read("stored")


def test_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(CheckpointError, match="loop: is a symbolic link"):
        Folder(tmp_path).names()


def test_links_within_a_folder_are_followed_and_links_out_of_it_are_not(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file").write_bytes(TEXT)
    (inside / "link").symlink_to("file")

    assert TEXT == bytes(Folder(inside).read("link"))
    (inside / "out").symlink_to(tmp_path)
    with pytest.raises(CheckpointError, match="out: is a symbolic link out of"):
        Folder(inside).names()


@given(position=st.floats(0, 1), replacement=st.binary(min_size=1, max_size=6))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_change_makes_an_archive_fail_otherwise(file: Path, position: float, replacement: bytes) -> None:
    content = bytes(map_file(file))
    place = int(position * len(content))
    changed = content[:place] + replacement + content[place + len(replacement) :]

    with suppress(ExportError):
        archive = Archive(file, memoryview(changed))
        for name in archive.names():
            archive.read(name)

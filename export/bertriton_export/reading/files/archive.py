"""Files that belong together, in a folder or in a zip: looked at by name, never unpacked by name.

Archives come from strangers. Nothing of one is written but into unnamed temporary files, so there is no path
for a member to escape by; members that try to are refused all the same, since no honest archive has them.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from bertriton_export.checkpoint import refuse_broken_link, short
from bertriton_export.errors import CheckpointError
from bertriton_export.reading.files.checksums import crc32_of
from bertriton_export.reading.files.mapped_file import ViewReader, map_file, map_open_file, release_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MEMBERS: Final = 10_000  # a BERT of 24 layers has about 400 tensors
MAX_UNPACKED_BYTES: Final = 16 * 2**30  # of all members together
MAX_COMPRESSION_RATIO: Final = 100  # weights hardly compress; graph definitions do by about ten
_UNPACK_BLOCK_BYTES: Final = 2**20
# Of a member's flags: encrypted, a patch, strongly encrypted, with headers that are.
_REFUSED_FLAGS: Final = 0x1 | 0x20 | 0x40 | 0x2000
_UTF8_FLAG: Final = 0x800  # of the name, which is in code page 437 without it

# Magic, flags, method, then the lengths of name and extra field.
_LOCAL_HEADER: Final = struct.Struct("<4s2xHH16xHH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_LEADS_OUT: Final = re.compile(r"^([/\\]|[A-Za-z]:)|(^|[/\\])\.\.([/\\]|$)|\\|\0")
# What the standard library raises on damaged zips; RuntimeError where it meets features it does not know.
_LIBRARY_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
)


class FileTree(Protocol):
    """Named files: a folder's or an archive's."""

    @property
    def path(self) -> Path:
        """The folder or archive, to name in messages."""

    def names(self) -> list[str]:
        """Every file, with `/` between folders."""

    def read(self, name: str) -> memoryview:
        """The bytes of one file, mapped where that is possible."""


class Folder:
    """The files below a folder.

    Args:
        path: the folder.
        links_may_leave: whether to follow symbolic links out of it, as huggingface_hub's cache has them.
    """

    def __init__(self, path: Path, *, links_may_leave: bool = False) -> None:
        self.path = path
        self._links_may_leave = links_may_leave

    def names(self) -> list[str]:
        """Every file, with `/` between folders."""
        return sorted(file.relative_to(self.path).as_posix() for file in self._files())

    def _files(self) -> Iterator[Path]:
        for file in self.path.rglob("*"):
            if (
                not self._links_may_leave
            ):  # else it is a model's folder, of which only some files are asked for
                refuse_broken_link(file)
                self._refuse_leaving(file)
            if file.is_file():
                yield file

    def _refuse_leaving(self, file: Path) -> None:
        if file.is_symlink() and not _resolved(file).is_relative_to(self.path.resolve()):
            raise CheckpointError(file, "is a symbolic link out of the checkpoint's folder")

    def read(self, name: str) -> memoryview:
        """The bytes of one file."""
        return map_file(self.path / name)


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except (OSError, RuntimeError) as exc:  # before Python 3.13 a link to itself raises the latter
        raise CheckpointError(file, f"is a symbolic link to nothing: {exc}") from exc


class Archive:
    """The members of a zip, checked before any of them is read.

    Args:
        path: to name in messages.
        view: the bytes of the zip.

    Raises:
        CheckpointError: it is damaged, larger than the limits of this module allow, or a member has a name
            that leads out of it, is a link, is encrypted or stands in it twice.
    """

    def __init__(self, path: Path, view: memoryview) -> None:
        self.path = path
        self._view = view
        try:
            self._zip = zipfile.ZipFile(io.BufferedReader(ViewReader(view)))
        except _LIBRARY_ERRORS as exc:
            raise CheckpointError(path, f"not a whole zip file: {exc}") from exc
        self._members = self._checked()
        self._name_to_bytes: dict[str, memoryview] = {}

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        unpacked = sum(info.file_size for info in infos)
        if len(infos) > MAX_MEMBERS:
            raise CheckpointError(self.path, f"{len(infos)} members, expected at most {MAX_MEMBERS}")
        if unpacked > min(MAX_UNPACKED_BYTES, MAX_COMPRESSION_RATIO * len(self._view)):
            raise CheckpointError(
                self.path,
                f"would unpack to {unpacked} bytes, expected at most {MAX_UNPACKED_BYTES} and at most "
                f"{MAX_COMPRESSION_RATIO} times its size",
            )
        for info in infos:
            self._check_member(info)
        members = {info.filename: info for info in infos if not info.is_dir()}
        if len(members) != sum(not info.is_dir() for info in infos):
            raise CheckpointError(self.path, "a member stands in it twice, so its content is ambiguous")
        return members

    def _check_member(self, info: zipfile.ZipInfo) -> None:
        name = short(info.orig_filename)
        if _LEADS_OUT.search(info.orig_filename):
            raise CheckpointError(self.path, f"member {name} leads out of the archive")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise CheckpointError(self.path, f"member {name} is a symbolic link")
        if info.flag_bits & _REFUSED_FLAGS:
            raise CheckpointError(self.path, f"member {name} is encrypted, or a patch of another")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointError(
                self.path, f"member {name} is neither stored nor deflated ({info.compress_type})"
            )

    def names(self) -> list[str]:
        """Every file, with `/` between folders."""
        return sorted(self._members)

    def read(self, name: str) -> memoryview:
        """The bytes of one member: mapped where it is stored, unpacked where it is compressed.

        Raises:
            CheckpointError: it is cut off, or not of the checksum that the archive's directory tells.
        """
        if name not in self._name_to_bytes:
            info = self._members[name]
            try:
                data = self._stored(info)
                if info.compress_type == zipfile.ZIP_DEFLATED:
                    data = _inflated(data, info)
                else:
                    _require_checksum(info, crc32_of(data))
            except _LIBRARY_ERRORS as exc:
                raise CheckpointError(self.path, f"member {short(name)} cannot be read: {exc}") from exc
            self._name_to_bytes[name] = data
        return self._name_to_bytes[name]

    def _stored(self, info: zipfile.ZipInfo) -> memoryview:
        header = self._view[info.header_offset :][: _LOCAL_HEADER.size]
        magic, flags, method, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        name_start = info.header_offset + _LOCAL_HEADER.size
        encoding = "utf-8" if flags & _UTF8_FLAG else "cp437"
        name = bytes(self._view[name_start : name_start + name_bytes]).decode(encoding)
        start = name_start + name_bytes + extra_bytes
        data = self._view[start : start + info.compress_size]
        as_it_is = info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size
        is_this = magic == _LOCAL_MAGIC and method == info.compress_type and not flags & _REFUSED_FLAGS
        # A checksum goes with the directory's name: two names exchanged there would exchange two tensors.
        if not is_this or name != info.orig_filename or len(data) != info.compress_size or as_it_is:
            raise ValueError("its header contradicts the archive's directory")
        return data


def _require_checksum(info: zipfile.ZipInfo, found: int) -> None:
    if found != info.CRC:
        raise ValueError(
            f"its content is damaged: expected the checksum {info.CRC:#010x} of the archive's directory, "
            f"found {found:#010x}"
        )


def _inflated(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    # The file has no name: it is gone when nothing maps it any more, whatever happens to us.
    with tempfile.TemporaryFile() as unpacked:
        size, checksum = 0, 0
        for block in _inflated_blocks(data):
            size += len(block)
            checksum = zlib.crc32(block, checksum)
            if size > info.file_size:
                break
            unpacked.write(block)
        release_pages(data)
        if size != info.file_size:
            raise ValueError(f"its content is not of the size {info.file_size} that the directory tells")
        _require_checksum(info, checksum)
        unpacked.flush()
        return map_open_file(unpacked)


def _inflated_blocks(data: memoryview) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # a zip's streams have no header
    for start in range(0, len(data), _UNPACK_BLOCK_BYTES):
        waiting: bytes | memoryview = data[start : start + _UNPACK_BLOCK_BYTES]
        while len(waiting) and not inflater.eof:
            yield inflater.decompress(waiting, _UNPACK_BLOCK_BYTES)
            waiting = inflater.unconsumed_tail
    if not inflater.eof:
        yield inflater.flush(_UNPACK_BLOCK_BYTES)


class Subtree:
    """The files below one folder of a tree."""

    def __init__(self, tree: FileTree, folder: str) -> None:
        self._tree = tree
        self._prefix = f"{folder}/"
        self.path = tree.path / folder

    def names(self) -> list[str]:
        """Every file, with `/` between folders."""
        return [
            name.removeprefix(self._prefix) for name in self._tree.names() if name.startswith(self._prefix)
        ]

    def read(self, name: str) -> memoryview:
        """The bytes of one file."""
        return self._tree.read(self._prefix + name)


def open_tree(path: Path) -> FileTree:
    """A folder, or a zip, to look at by name."""
    return Folder(path) if path.is_dir() else Archive(path, map_file(path))

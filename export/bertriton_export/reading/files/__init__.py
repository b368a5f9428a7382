"""Files that belong together, looked at without being unpacked, and tensors mapped where they lie.

In: a folder or a zip. Out: its files' bytes by name, and tensors that are read when they are asked for.
"""

from bertriton_export.reading.files.archive import Archive, FileTree, Folder, Subtree, open_tree
from bertriton_export.reading.files.checksums import crc32c_of, masked
from bertriton_export.reading.files.mapped_file import (
    ViewReader,
    byte_size,
    dtype_bytes,
    lazy_tensor,
    map_file,
    release_pages,
    require_whole,
    sha256_of_checkpoint,
    transposed,
)

__all__ = [
    "Archive",
    "FileTree",
    "Folder",
    "Subtree",
    "ViewReader",
    "byte_size",
    "crc32c_of",
    "dtype_bytes",
    "lazy_tensor",
    "map_file",
    "masked",
    "open_tree",
    "release_pages",
    "require_whole",
    "sha256_of_checkpoint",
    "transposed",
]

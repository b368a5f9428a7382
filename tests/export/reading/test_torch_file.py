"""`pytorch_model.bin` is read without torch, and nothing in it is ever run."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import shutil
import tracemalloc
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertriton_export import CheckpointError, ExportError, export
from bertriton_export.checkpoint import tensor_shapes
from bertriton_export.reading import read_checkpoint
from bertriton_export.reading.pytorch.pickle_machine import MAX_PICKLE_OPCODES, read_pickle
from bertriton_export.reading.pytorch.state_dict import torch_tensors

VIEWS = {
    "transposed": np.arange(24).reshape(4, 6).T,
    "tail": np.arange(20, 24),
    "every_other": np.arange(0, 24, 2),
    "parameter": np.arange(3),
    "half": np.arange(3),
    "brain": np.arange(3),
    "ids": np.arange(3),
}
LAYOUTS = ("one-layer.bin", "one-layer-legacy.bin")


class Runs:
    """Unpickled by Python's own pickle, it would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def with_pytorch_weights(folder: Path, weights: Path) -> Path:
    (folder / "model.safetensors").unlink()
    shutil.copyfile(weights, folder / "pytorch_model.bin")
    return folder


def torch_zip(file: Path, structure: bytes, **members: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", structure)
        for name, content in members.items():
            archive.writestr(f"archive/data/{name.removeprefix('storage')}", content)
    return file


def tensor_pickle(storage_elements: int, offset: int, shape: Any, strides: Any) -> bytes:
    """A state dict of one tensor "x", put together opcode by opcode as PyTorch does."""

    def integers(values: Any) -> bytes:
        return (
            b"(" + b"".join(b"\x8a\x08" + value.to_bytes(8, "little", signed=True) for value in values) + b"t"
        )

    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu"
    size = b"\x8a\x08" + storage_elements.to_bytes(8, "little", signed=True)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + size + b"tQ"
    tensor += b"\x8a\x08" + offset.to_bytes(8, "little", signed=True)
    tensor += integers(shape) + integers(strides) + b"\x89}tR"
    return b"\x80\x02}X\x01\0\0\0x" + tensor + b"s."


@pytest.mark.parametrize("weights", LAYOUTS)
def test_weights_are_those_of_safetensors_bit_for_bit(one_layer: Path, formats: Path, weights: str) -> None:
    expected = read_checkpoint(formats.parent / "checkpoints" / "one-layer")

    found = read_checkpoint(with_pytorch_weights(one_layer, formats / weights))

    assert found.source["format"] == "PyTorch"
    for name in tensor_shapes(expected.config):
        np.testing.assert_array_equal(expected.weights[name], found.weights[name], name)


def test_shards_are_read(three_labels: Path, formats: Path) -> None:
    expected = read_checkpoint(three_labels).weights["classifier.weight"]
    (three_labels / "model.safetensors").unlink()
    shutil.copytree(formats / "three-labels-shards", three_labels, dirs_exist_ok=True)

    found = read_checkpoint(three_labels)

    np.testing.assert_array_equal(expected, found.weights["classifier.weight"])


def test_safetensors_wins_when_both_are_there(one_layer: Path) -> None:
    (one_layer / "pytorch_model.bin").write_bytes(b"never looked at")

    assert read_checkpoint(one_layer).source["format"] == "safetensors"


@pytest.mark.parametrize("file", ["views.bin", "views-legacy.bin"])
def test_strides_shared_storages_and_every_float_type_are_read(formats: Path, file: str) -> None:
    tensors = dict(torch_tensors(formats / file))

    assert list(VIEWS) == list(tensors)
    assert [tensor.dtype for tensor in tensors.values()] == ["F64", "F64", "F64", "F32", "F16", "BF16", "I64"]
    for name, expected in VIEWS.items():
        np.testing.assert_array_equal(expected, tensors[name].load(), name)


def test_export_says_in_its_manifest_what_it_read(one_layer: Path, formats: Path, tmp_path: Path) -> None:
    checkpoint = with_pytorch_weights(one_layer, formats / "one-layer.bin")

    export(checkpoint, name="tiny", repository=tmp_path, precision="fp32")

    assert '"format": "PyTorch"' in (tmp_path / "tiny" / "1" / "manifest.json").read_text(encoding="utf-8")


def test_code_in_a_pickle_is_refused_by_name_and_not_run(one_layer: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch_zip(tmp_path / "bad.bin", pickle.dumps({"weight": Runs(made)}, protocol=2))
    pickle.loads(pickle.dumps(Runs(tmp_path / "control")))  # noqa: S301 (shows that it would run)
    checkpoint = with_pytorch_weights(one_layer, tmp_path / "bad.bin")

    with pytest.raises(CheckpointError, match=r"asks for posix\.mkdir.*nothing was run"):
        export(checkpoint, repository=tmp_path / "repository", precision="fp32")

    assert (tmp_path / "control").exists()
    assert not made.exists()
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_weights_that_were_damaged_on_the_way_are_refused(
    one_layer: Path, formats: Path, place: float
) -> None:
    content = bytearray((formats / "one-layer.bin").read_bytes())
    content[int(place * len(content))] ^= 1
    (one_layer / "damaged.bin").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: .*(is damaged|contradicts)"):
        read_checkpoint(with_pytorch_weights(one_layer, one_layer / "damaged.bin"))


def test_text_that_claims_gigabytes_costs_what_is_there(tmp_path: Path) -> None:
    """BINUNICODE with a length of 4 GiB less one, in a file of twenty bytes."""
    (tmp_path / "bad.bin").write_bytes(b"\x80\x02X\xff\xff\xff\xffshort")

    tracemalloc.start()
    with pytest.raises(CheckpointError, match="not a well-formed pickle"):
        dict(torch_tensors(tmp_path / "bad.bin"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 10 * 2**20


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (b"c" + b"x" * 10**6, "not a well-formed pickle"),  # a name that does not end
        (b"ccollections\nOrderedDict\n](K\x01K\x02\x86e\x85R.", "not a well-formed pickle"),
        (b"ctorch\nSize\n(" + b"K\x01" * 65 + b"t\x85R.", "a shape that is not a list of at most 64 sizes"),
        (
            b"ccollections\nOrderedDict\n](" + b"X\x01\0\0\0xK\x01\x86" * 1001 + b"e\x85R.",
            "not a well-formed pickle",
        ),
    ],
)
def test_structures_that_cost_more_than_tensors_do_are_refused(
    tmp_path: Path, structure: bytes, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        dict(torch_tensors(torch_zip(tmp_path / "bad.bin", b"\x80\x02" + structure)))


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "collections.deque", "torch._utils.x"])
def test_globals_that_weights_do_not_need_are_refused(tmp_path: Path, name: str) -> None:
    module, attribute = name.rsplit(".", 1)
    file = torch_zip(tmp_path / "bad.bin", f"\x80\x02c{module}\n{attribute}\n.".encode("latin-1"))

    with pytest.raises(CheckpointError, match=f"asks for {name}, which is not among"):
        dict(torch_tensors(file))


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (b"\x80\x02}c__main__\nX\n)\x81.", "asks for __main__.X"),
        (b"\x80\x02}(ibuiltins\neval\n.", "opcode INST"),
        (b"\x80\x02}ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
        (b"\x80\x02}", "not a well-formed pickle"),
        (b"\x80\x02K\x01.", "expected tensors by name, found a int"),
        (b"\x80\x02}X\x01\0\0\0xK\x01s.", "entry 'x': expected a tensor, found a int"),
        (b"\x80\x02}K\x01K\x01s.", "under what is not text"),
        (b"\x80\x02K\x01)R.", "REDUCE of what is not a constructor"),
        (b"\x80\x02K\x01}b.", "BUILD on what is not a dict"),
        (b"\x80\x02K\x01K\x01a.", "appended to what is not a list"),
        (b"\x80\x02K\x01Q.", "not a well-formed pickle"),
        (b"\x80\x02h\x07.", "not a well-formed pickle"),
        (b"\x80\x02(K\x01", "not a well-formed pickle"),
    ],
)
def test_malformed_structures_are_refused(tmp_path: Path, structure: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        dict(torch_tensors(torch_zip(tmp_path / "bad.bin", structure)))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ((4, 1, (4,), (1,)), "lie within its storage of 4 elements, found shape [4] from element 1"),
        ((4, 0, (2,), (4,)), "lie within its storage"),
        ((4, 0, (10**15,), (0,)), "lie within its storage"),
        ((9, 0, (9,), (1,)), "a storage of 36 bytes, found one of 16"),
        ((4, 0, (4,), (-1,)), "not a count"),
        ((4, 0, (4,), ()), "more dimensions than strides"),
        ((2**62, 0, (4,), (1,)), "not a count"),
    ],
)
def test_tensors_that_leave_their_storage_are_refused(tmp_path: Path, tensor: Any, message: str) -> None:
    file = torch_zip(tmp_path / "bad.bin", tensor_pickle(*tensor), storage0=bytes(16))

    with pytest.raises(CheckpointError) as caught:
        dict(torch_tensors(file))

    assert message in str(caught.value)


def test_well_made_pickle_of_the_test_is_read(tmp_path: Path) -> None:
    file = torch_zip(
        tmp_path / "good.bin", tensor_pickle(4, 1, (3,), (1,)), storage0=np.arange(4, dtype="<f4")
    )

    np.testing.assert_array_equal([1, 2, 3], dict(torch_tensors(file))["x"].load())


def test_missing_storage_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="storage '0' is missing"):
        dict(torch_tensors(torch_zip(tmp_path / "bad.bin", tensor_pickle(4, 0, (4,), (1,)))))


def test_endless_pickles_are_cut_off(tmp_path: Path) -> None:
    structure = b"\x80\x02" + b"N" * (MAX_PICKLE_OPCODES + 1) + b"."

    with pytest.raises(CheckpointError, match=f"more than {MAX_PICKLE_OPCODES} opcodes"):
        dict(torch_tensors(torch_zip(tmp_path / "bad.bin", structure)))


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", b"PK\x03\x04", b"\x80\x02K\x01."])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.bin").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"bad\.bin: "):
        dict(torch_tensors(tmp_path / "bad.bin"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_cut_off_files_are_refused(tmp_path: Path, formats: Path, layout: str, part: float) -> None:
    content = (formats / layout).read_bytes()
    (tmp_path / "bad.bin").write_bytes(content[: int(len(content) * part)])

    with pytest.raises(CheckpointError, match=r"cut off|not a whole zip|not a well-formed pickle"):
        dict(torch_tensors(tmp_path / "bad.bin"))


@given(start=st.sampled_from([b"", b"\x80\x02", b"\x80\x02}X\x01\0\0\0x"]), content=st.binary(max_size=60))
def test_no_bytes_make_the_pickle_reader_fail_otherwise(start: bytes, content: bytes) -> None:
    with suppress(ExportError):
        read_pickle(Path("fuzzed"), io.BytesIO(start + content))


opcodes = st.sampled_from([code.code.encode("latin-1") for code in pickletools.opcodes])
arguments = st.sampled_from(
    [b"", b"\0", b"\x01", b"\x01\0\0\0x", b"collections\nOrderedDict\n", b"torch._utils\n"]
)


@given(program=st.lists(st.tuples(opcodes, arguments), max_size=30))
def test_no_program_makes_the_pickle_machine_fail_otherwise(program: list[tuple[bytes, bytes]]) -> None:
    with suppress(ExportError):
        read_pickle(Path("fuzzed"), io.BytesIO(b"".join(code + argument for code, argument in program)))


def test_state_dicts_of_any_dict_type_are_read(tmp_path: Path) -> None:
    """What PyTorch pickles for `model.state_dict()`: an OrderedDict with attributes of its own."""
    state = OrderedDict(a=1)
    state._metadata = {"version": 1}  # type: ignore[attr-defined]  # noqa: SLF001 (PyTorch's own name)

    assert {"a": 1} == read_pickle(tmp_path, io.BytesIO(pickle.dumps(state, protocol=2)))

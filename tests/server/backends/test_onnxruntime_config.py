"""The stand-in for Triton's ONNX Runtime backend: what it does, and refuses, when it loads a model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.parser
import pytest
import tritonclient.grpc as triton
from onnx import numpy_helper

from bertriton_server import LocalServer, ModelsNotReadyError, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Repository

    from bertriton_server import Runtime

# What CUDA alone has a kernel for.
PACKED = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
packed (float[t, 8] x, int32[b, s] offset, int32[c] cumulative) => (float[t, 8] y) {
    y = com.microsoft.PackedMultiHeadAttention <num_heads = 2> (x, x, x, , offset, cumulative)
}
"""
THREE_EACH = "three (float[b, 3] x) => (float[b, 3] y) { y = Add(x, x) }"
TWO_INPUTS = "two (float[b, n] x, float[b, n] z) => (float[b, n] y) { y = Add(x, z) }"
ADD_WEIGHTS = "sum (float[2] x) => (float[2] y) <float[2] w = {10, 20}> { y = Add(x, w) }"
# Pairs of these products leave 16 bits.
EIGHT_BITS = """eight_bits (float[b, 4] x) => (float[b, 1] y) <int8[4, 1] w = {127, 127, 127, 127}> {
    bytes = Cast <to = 2> (x)
    sums = MatMulInteger (bytes, w)
    y = Cast <to = 1> (sums)
}"""
SETTINGS = {
    "intra_op_thread_count": "2",
    "inter_op_thread_count": "2",
    "execution_mode": "1",
    "enable_mem_pattern": "0",
    "memory.enable_memory_arena_shrinkage": "cpu:0",
    "session.use_device_allocator_for_initializers": "1",
}
MODEL_TO_REFUSAL = {
    "other_input": "config.pbtxt has input 'z', the ONNX file only ['x']",
    "other_output": "config.pbtxt has output 'z', the ONNX file only ['y']",
    "other_type": "input 'x' is TYPE_INT64[-1, -1] by config.pbtxt, but TYPE_FP32[-1, -1] in the ONNX file",
    "other_rank": "output 'y' is TYPE_FP32[-1, -1, 2] by config.pbtxt, but TYPE_FP32[-1, -1] in the ONNX",
    "other_size": "input 'x' is TYPE_FP32[-1, -1] by config.pbtxt, but TYPE_FP32[-1, 3] in the ONNX file",
    "not_ragged": "input 'x' is TYPE_FP32[-1] by config.pbtxt, but TYPE_FP32[-1, -1] in the ONNX file",
    "unfed": "config.pbtxt lacks input(s) ['z'] of the ONNX file",
    "bad_setting": "invalid literal for int() with base 10: 'many'",
}


def tensor(name: str, data_type: str, *dims: int, **fields: object) -> dict[str, Any]:
    return {"name": name, "data_type": f"TYPE_{data_type}", "dims": list(dims), **fields}


def parameters(settings: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"string_value": value} for name, value in settings.items()}


def add_external_data_model(repository: Repository) -> None:
    vector = {"input": [tensor("x", "FP32", 2)], "output": [tensor("y", "FP32", 2)]}
    folder = repository.add("external", ADD_WEIGHTS, default_model_filename="network.onnx", **vector)
    network = onnx.load(folder / "1" / "model.onnx")
    # Only weights kept as raw bytes go to the other file.
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([10, 20], dtype=np.float32), "w"))
    (folder / "1" / "model.onnx").unlink()
    onnx.save(
        network,
        folder / "1" / "network.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (folder / "1" / "weights.bin").stat().st_size == 8


@pytest.fixture(scope="module")
def server(runtime: Runtime, module_repository: Repository) -> Iterator[LocalServer]:
    accelerators = {"cpu_execution_accelerator": [{"name": "openvino"}]}
    module_repository.add(
        "settings",
        max_batch_size=0,
        input=[tensor("x", "FP32", -1, -1)],
        output=[tensor("y", "FP32", -1, -1)],
        parameters=parameters(SETTINGS),
        optimization={"graph": {"level": 1}, "execution_accelerators": accelerators},
    )
    for count in ("1", "4"):
        settings = parameters({"intra_op_thread_count": count})
        module_repository.add(f"threads_{count}", parameters=settings)
    module_repository.add("no_such_cpu", parameters=parameters({"cpu_feature": "vnni_of_tomorrow"}))
    module_repository.add(
        "eight_bits",
        EIGHT_BITS,
        max_batch_size=0,
        input=[tensor("x", "FP32", -1, 4)],
        output=[tensor("y", "FP32", -1, 1)],
    )
    add_external_data_model(module_repository)
    with LocalServer(ServerConfig(module_repository.path, stop_grace_s=0), runtime=runtime) as server:
        yield server


def ask(server: LocalServer, model: str, x: np.ndarray[Any, Any]) -> list[Any]:
    """The model's `y` for an `x`."""
    sent = triton.InferInput("x", x.shape, "FP32")
    sent.set_data_from_numpy(x)
    with triton.InferenceServerClient(server.grpc_url) as client:
        answer: list[Any] = client.infer(model, [sent]).as_numpy("y").tolist()
        return answer


def test_a_model_with_all_settings_answers(server: LocalServer) -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)

    assert ask(server, "settings", x) == [[2, 4, 6], [8, 10, 12]]


def test_another_file_name_and_external_data_are_found(server: LocalServer) -> None:
    assert ask(server, "external", np.array([1, 2], dtype=np.float32)) == [11, 22]


def test_products_of_eight_bits_are_exact_on_every_cpu(server: LocalServer) -> None:
    assert ask(server, "eight_bits", np.full((1, 4), 255, dtype=np.float32)) == [[4 * 255 * 127]]


def test_a_model_gets_the_threads_that_its_config_says(server: LocalServer) -> None:
    folder = f"{server.config.model_repository}/threads_"
    counts = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # others come and go
            command = (process / "cmdline").read_text()
            if "_stub" in command and folder in command:
                counts[command.partition(folder)[2][0]] = len(list((process / "task").iterdir()))

    assert counts["4"] == counts["1"] + 3


def test_what_is_not_honoured_is_said_in_the_log(server: LocalServer) -> None:
    warnings = [line for line in server.log_path.read_text().splitlines() if line.startswith("W")]

    assert any("settings: no execution accelerator 'openvino'" in line for line in warnings)


def test_a_cpu_without_what_the_network_needs_is_warned_of(server: LocalServer) -> None:
    warnings = [line for line in server.log_path.read_text().splitlines() if line.startswith("W")]

    assert any("this CPU has no vnni_of_tomorrow" in line for line in warnings)


def test_a_network_that_only_a_gpu_can_run_is_refused_with_what_to_do(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    inputs = [
        tensor("x", "FP32", -1, 8),
        tensor("offset", "INT32", -1, -1),
        tensor("cumulative", "INT32", -1),
    ]
    config = {"max_batch_size": 0, "input": inputs, "output": [tensor("y", "FP32", -1, 8)]}
    folder = repository.add("on_a_cpu", **config)
    onnx.save(onnx.parser.parse_model(PACKED), folder / "1" / "model.onnx")

    with pytest.raises(ModelsNotReadyError) as caught:
        make_server().start()

    reason = caught.value.reasons["on_a_cpu"]
    assert "cannot run PackedMultiHeadAttention; a network made for GPUs" in reason
    assert "export it again with --target cpu" in reason


def test_a_gpu_instance_is_refused_with_what_to_do_where_there_is_no_gpu(
    make_server: Callable[..., LocalServer], repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.add("on_a_gpu", instance_group=[{"kind": "KIND_GPU", "count": 1}])

    # A machine with a GPU cannot refuse for want of one; the server hides it from Triton.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ModelsNotReadyError, match="no GPUs are available; serve it on a machine with one"):
        make_server().start()


def test_configs_that_are_not_the_networks_are_refused_at_load(
    make_server: Callable[..., LocalServer], repository: Repository
) -> None:
    of_double = {
        "max_batch_size": 2,
        "input": [tensor("x", "FP32", -1)],
        "output": [tensor("y", "FP32", -1)],
    }
    repository.add("other_input", input=[tensor("z", "FP32", -1)])
    repository.add("other_output", output=[tensor("z", "FP32", -1)])
    repository.add("other_type", input=[tensor("x", "INT64", -1)])
    repository.add("other_rank", output=[tensor("y", "FP32", -1, 2)])
    repository.add("other_size", THREE_EACH, **of_double)
    repository.add("not_ragged", input=[tensor("x", "FP32", -1, allow_ragged_batch=True)])
    repository.add("unfed", TWO_INPUTS, **of_double)
    repository.add("bad_setting", parameters=parameters({"intra_op_thread_count": "many"}))

    with pytest.raises(ModelsNotReadyError) as caught:
        make_server().start()

    reasons = caught.value.reasons
    assert set(reasons) == set(MODEL_TO_REFUSAL)
    for model, refusal in MODEL_TO_REFUSAL.items():
        assert refusal in reasons[model]

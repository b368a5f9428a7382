"""The three `config.pbtxt` files of a classifier, as Triton's own protobuf messages.

Meaning of the fields: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import contract
from bertriton_export.targets import KIND_CPU

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from bertriton.contract import ClassifierInfo
    from bertriton_export.targets import NetworkConfig, WarmUp

# No request waits for company: while a batch is running, the next one gathers by itself.
QUEUE_DELAY_US: Final = 0
WARMUP_FOLDER: Final = "warmup"
WARMUP_TEXT_FILE: Final = "text"
# That the tokenizer's model answers in one call before it counts as ready, for the reason told in sending.py:
# more than 512, so that Triton's list of answered requests has room for 1,024. Between two calls there may be
# as many answers as wait in both rooms of waiting.py.
TOKENIZER_WARMUP_TEXTS: Final = 520
# A batch that may hold no second request, however many rows the first has.
ONE_REQUEST: Final = 1

LABELS_FILE: Final = "labels.txt"
TOKENIZER_FILE: Final = "tokenizer.json"

# A row that leads with a dimension of 1. Of a request without rows, as [0, 132], Triton hands over what is
# left of its shape, [132]: 132 rows, more than a batch may have, for which all its requests failed. This way
# it is one row, [1, 132], which can be told from others and refused by itself.
_ROW_OF_ANY_LENGTH: Final = (1, -1)

_TOKEN_INPUTS: Final = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
_SCORES: Final = (contract.PROBABILITIES, contract.LOGITS)
# By row, besides the scores: what the tokenizer tells and what the network tells, name -> (type, values).
_INT32, _BOOL = model_config_pb2.TYPE_INT32, model_config_pb2.TYPE_BOOL
_TOKEN_REPORT: Final = {
    contract.TOKEN_COUNT: (_INT32, 1),
    contract.TRUNCATED: (_BOOL, 1),
    contract.WINDOWS: (_INT32, 1),
    contract.TOKENIZER_FINGERPRINT: (_INT32, contract.FINGERPRINT_WORDS),
}
_NETWORK_REPORT: Final = {contract.FINGERPRINT: (_INT32, contract.FINGERPRINT_WORDS)}


def model_configs(
    info: ClassifierInfo, network: NetworkConfig, tokenizer_sha256: str
) -> dict[str, ModelConfig]:
    """The configs of one classifier, model name -> config.

    Args:
        info: what the ensemble tells clients.
        network: how the network is served.
        tokenizer_sha256: of the file that the tokenizer reads, which refuses any other.
    """
    configs = (_ensemble(info), _tokenizer(info, network, tokenizer_sha256), _bert(info, network))
    return {config.name: config for config in configs}


def to_pbtxt(config: ModelConfig) -> str:
    """A config as the text of a `config.pbtxt`."""
    return str(text_format.MessageToString(config))


def _ensemble(info: ClassifierInfo) -> ModelConfig:
    config = ModelConfig(name=info.name, platform="ensemble", max_batch_size=info.max_batch_size)
    _add_text_input(config)
    _add_scores(config, info)
    _add_reports(config, _TOKEN_REPORT | _NETWORK_REPORT)
    tokenize = config.ensemble_scheduling.step.add(
        model_name=info.name + contract.TOKENIZER_SUFFIX, model_version=-1
    )
    classify = config.ensemble_scheduling.step.add(
        model_name=info.name + contract.BERT_SUFFIX, model_version=-1
    )
    _pass_through(tokenize.input_map, (contract.TEXT,))
    _pass_through(tokenize.output_map, (*_TOKEN_INPUTS, *_TOKEN_REPORT))
    _pass_through(classify.input_map, _TOKEN_INPUTS)
    _pass_through(classify.output_map, (*_SCORES, *_NETWORK_REPORT))
    for key, value in info.to_parameters().items():
        config.parameters[key].string_value = value
    return config


def _tokenizer(info: ClassifierInfo, network: NetworkConfig, tokenizer_sha256: str) -> ModelConfig:
    config = ModelConfig(name=info.name + contract.TOKENIZER_SUFFIX, backend="python")
    # Triton warms up with no more at once than a request may hold.
    config.max_batch_size = max(TOKENIZER_WARMUP_TEXTS, info.max_batch_size)
    _add_text_input(config)
    config.input[0].reshape.shape.extend(_ROW_OF_ANY_LENGTH)
    for name in _TOKEN_INPUTS:
        config.output.add(name=name, data_type=model_config_pb2.TYPE_INT32, dims=[-1])
    _add_reports(config, _TOKEN_REPORT)
    config.instance_group.add(count=1, kind=KIND_CPU)
    # One request a call: it takes them as they come, and makes batches itself. Until then they are to queue
    # in a batcher: without one, each that waits takes one of Triton's pooled payloads, and once there are
    # 1,000, batchers write to memory that was freed (2.51, and its sources of June 2026).
    config.dynamic_batching.preferred_batch_size.append(ONE_REQUEST)
    sample = config.model_warmup.add(name="answers in one call")
    sample.batch_size = TOKENIZER_WARMUP_TEXTS
    sample.inputs[contract.TEXT].data_type = model_config_pb2.TYPE_STRING
    sample.inputs[contract.TEXT].dims.append(1)
    # Not zeros, which are texts without a character: some tokenizers make no token of them, and refuse.
    sample.inputs[contract.TEXT].input_data_file = WARMUP_TEXT_FILE
    config.parameters[contract.PART_OF].string_value = info.name
    config.parameters["network"].string_value = info.name + contract.BERT_SUFFIX
    config.parameters["max_length"].string_value = str(info.max_length)
    # What holds where a request has no such parameter of its own.
    config.parameters["truncation"].string_value = info.truncation
    config.parameters["stride"].string_value = str(info.stride)
    config.parameters["aggregation"].string_value = info.aggregation
    config.parameters["max_request_tokens"].string_value = str(network.max_request_tokens)
    config.parameters["fingerprint"].string_value = info.fingerprint
    config.parameters["tokenizer_sha256"].string_value = tokenizer_sha256
    if network.padded_lengths:
        config.parameters["padded_lengths"].string_value = ",".join(map(str, network.padded_lengths))
    return config


def _bert(info: ClassifierInfo, network: NetworkConfig) -> ModelConfig:
    config = ModelConfig(
        name=info.name + contract.BERT_SUFFIX,
        backend=network.backend,
        max_batch_size=info.max_batch_size,
        default_model_filename=network.model_file,
    )
    for name in _TOKEN_INPUTS:
        tokens = config.input.add(name=name, data_type=model_config_pb2.TYPE_INT32, dims=[-1])
        # Ragged: Triton hands over the tokens of all requests of a batch as one row without padding.
        tokens.allow_ragged_batch = not network.padded_lengths
        if tokens.allow_ragged_batch:
            tokens.reshape.shape.extend(_ROW_OF_ANY_LENGTH)
            _add_shapes(config, name)
    _add_scores(config, info)
    for output in config.output:
        output.label_filename = LABELS_FILE
    _add_reports(config, _NETWORK_REPORT)
    config.parameters[contract.PART_OF].string_value = info.name
    config.instance_group.add(count=1, kind=network.kind, profile=network.profiles)
    # Its queue has no limit: with any, Triton (2.51, and its sources of June 2026) has a request that finds
    # the instance busy wait until another comes, or 500 ms. The tokenizer keeps back what is too much.
    config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    config.dynamic_batching.preferred_batch_size.extend(network.merged_rows)
    for key, value in network.parameters.items():
        config.parameters[key].string_value = value
    for name, options in network.accelerators.items():
        accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
        accelerators.add(name=name, parameters=options)
    for warmup in network.warmups:
        _add_warmup(config, warmup)
    return config


def _add_warmup(config: ModelConfig, warmup: WarmUp) -> None:
    sample = config.model_warmup.add(name=warmup.name, batch_size=warmup.texts)
    for name in _TOKEN_INPUTS:
        sample.inputs[name].data_type = model_config_pb2.TYPE_INT32
        sample.inputs[name].dims.append(warmup.tokens)
        sample.inputs[name].zero_data = True
    # Positions of zero would make every token a text of its own.
    sample.inputs[contract.POSITION_IDS].input_data_file = warmup.file


def _add_shapes(config: ModelConfig, name: str) -> None:
    """Have Triton tell the shape of every row of an input."""
    config.batch_input.add(
        kind=model_config_pb2.BatchInput.BATCH_ITEM_SHAPE_FLATTEN,
        target_name=[name + contract.SHAPES_SUFFIX],
        data_type=model_config_pb2.TYPE_INT32,
        source_input=[name],
    )


def _add_text_input(config: ModelConfig) -> None:
    config.input.add(name=contract.TEXT, data_type=model_config_pb2.TYPE_STRING, dims=[-1])


def _add_scores(config: ModelConfig, info: ClassifierInfo) -> None:
    for name in _SCORES:
        config.output.add(name=name, data_type=model_config_pb2.TYPE_FP32, dims=[len(info.labels)])


def _add_reports(config: ModelConfig, reports: Mapping[str, tuple[int, int]]) -> None:
    for name, (data_type, values) in reports.items():
        config.output.add(name=name, data_type=data_type, dims=[values])


def _pass_through(tensor_map: MutableMapping[str, str], names: Iterable[str]) -> None:
    """Inside an ensemble every tensor keeps its name."""
    for name in names:
        tensor_map[name] = name

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
    from collections.abc import Iterable, MutableMapping

    from bertriton.contract import ClassifierInfo
    from bertriton_export.targets import NetworkConfig, WarmUp

# No request waits for company: while a batch is running, the next one gathers by itself.
QUEUE_DELAY_US: Final = 0
# Requests that may wait for a step, and how long. Beyond either Triton refuses, so that overload is told in
# milliseconds and nobody's answer is computed after they left; a request may bring a shorter time of its own.
MAX_QUEUE_SIZE: Final = 512
QUEUE_TIMEOUT_US: Final = 30_000_000
WARMUP_FOLDER: Final = "warmup"

LABELS_FILE: Final = "labels.txt"
TOKENIZER_FILE: Final = "tokenizer.json"

_TOKEN_INPUTS: Final = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
_TOKEN_REPORT: Final = (contract.TOKEN_COUNT, contract.TRUNCATED, contract.WINDOWS)
_SCORES: Final = (contract.PROBABILITIES, contract.LOGITS)


def model_configs(info: ClassifierInfo, network: NetworkConfig) -> dict[str, ModelConfig]:
    """The configs of one classifier, model name -> config.

    Args:
        info: what the ensemble tells clients.
        network: how the network is served.
    """
    configs = (_ensemble(info), _tokenizer(info, network), _bert(info, network))
    return {config.name: config for config in configs}


def to_pbtxt(config: ModelConfig) -> str:
    """A config as the text of a `config.pbtxt`."""
    return str(text_format.MessageToString(config))


def _ensemble(info: ClassifierInfo) -> ModelConfig:
    config = ModelConfig(name=info.name, platform="ensemble", max_batch_size=info.max_batch_size)
    _add_text_input(config)
    _add_scores(config, info)
    _add_token_report(config)
    tokenize = config.ensemble_scheduling.step.add(
        model_name=info.name + contract.TOKENIZER_SUFFIX, model_version=-1
    )
    classify = config.ensemble_scheduling.step.add(
        model_name=info.name + contract.BERT_SUFFIX, model_version=-1
    )
    _pass_through(tokenize.input_map, (contract.TEXT,))
    _pass_through(tokenize.output_map, (*_TOKEN_INPUTS, *_TOKEN_REPORT))
    _pass_through(classify.input_map, _TOKEN_INPUTS)
    _pass_through(classify.output_map, _SCORES)
    for key, value in info.to_parameters().items():
        config.parameters[key].string_value = value
    return config


def _tokenizer(info: ClassifierInfo, network: NetworkConfig) -> ModelConfig:
    config = ModelConfig(
        name=info.name + contract.TOKENIZER_SUFFIX, backend="python", max_batch_size=info.max_batch_size
    )
    _add_text_input(config)
    # Texts of one request may be one or two strings a row: let unequal requests share a batch.
    config.input[0].allow_ragged_batch = True
    for name in _TOKEN_INPUTS:
        config.output.add(name=name, data_type=model_config_pb2.TYPE_INT32, dims=[-1])
    _add_token_report(config)
    config.instance_group.add(count=1, kind=KIND_CPU)
    # No limits: those of the network's queue do, and any could cost 500 ms, see _add_queue.
    config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    config.parameters["max_length"].string_value = str(info.max_length)
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
    _add_scores(config, info)
    for output in config.output:
        output.label_filename = LABELS_FILE
    config.instance_group.add(count=1, kind=network.kind, profile=network.profiles)
    _add_queue(config)
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


def _add_queue(config: ModelConfig) -> None:
    """Limit the queue in length and time.

    With any limit, Triton (2.51, and its sources of June 2026) has a request that finds the instance busy
    wait until another comes or 500 ms are over. The pip-only server takes requests off before that matters.
    """
    batching = config.dynamic_batching
    batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    batching.default_queue_policy.max_queue_size = MAX_QUEUE_SIZE
    batching.default_queue_policy.default_timeout_microseconds = QUEUE_TIMEOUT_US
    batching.default_queue_policy.allow_timeout_override = True


def _add_text_input(config: ModelConfig) -> None:
    config.input.add(name=contract.TEXT, data_type=model_config_pb2.TYPE_STRING, dims=[-1])


def _add_scores(config: ModelConfig, info: ClassifierInfo) -> None:
    for name in _SCORES:
        config.output.add(name=name, data_type=model_config_pb2.TYPE_FP32, dims=[len(info.labels)])


def _add_token_report(config: ModelConfig) -> None:
    config.output.add(name=contract.TOKEN_COUNT, data_type=model_config_pb2.TYPE_INT32, dims=[1])
    config.output.add(name=contract.TRUNCATED, data_type=model_config_pb2.TYPE_BOOL, dims=[1])
    config.output.add(name=contract.WINDOWS, data_type=model_config_pb2.TYPE_INT32, dims=[1])


def _pass_through(tensor_map: MutableMapping[str, str], names: Iterable[str]) -> None:
    """Inside an ensemble every tensor keeps its name."""
    for name in names:
        tensor_map[name] = name

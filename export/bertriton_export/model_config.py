"""The three `config.pbtxt` files of a classifier, as Triton's own protobuf messages.

Meaning of the fields: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bertriton import contract

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from bertriton.contract import ClassifierInfo

MAX_BATCH_SIZE: Final = 64  # rows, in one request and in one batch of the server

# A first request waits this long for company. Longer helps no throughput: while a batch is running, the
# next one gathers by itself.
TOKENIZER_QUEUE_DELAY_US: Final = 0
BERT_QUEUE_DELAY_US: Final = 0

LABELS_FILE: Final = "labels.txt"
TOKENIZER_FILE: Final = "tokenizer.json"

_TOKEN_INPUTS: Final = (contract.INPUT_IDS, contract.TOKEN_TYPE_IDS, contract.POSITION_IDS)
_TOKEN_REPORT: Final = (contract.TOKEN_COUNT, contract.TRUNCATED, contract.WINDOWS)
_SCORES: Final = (contract.PROBABILITIES, contract.LOGITS)


def model_configs(info: ClassifierInfo) -> dict[str, ModelConfig]:
    """The configs of one classifier, model name -> config."""
    configs = (_ensemble(info), _tokenizer(info), _bert(info))
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


def _tokenizer(info: ClassifierInfo) -> ModelConfig:
    config = ModelConfig(
        name=info.name + contract.TOKENIZER_SUFFIX, backend="python", max_batch_size=info.max_batch_size
    )
    _add_text_input(config)
    # Texts of one request may be one or two strings a row: let unequal requests share a batch.
    config.input[0].allow_ragged_batch = True
    for name in _TOKEN_INPUTS:
        config.output.add(name=name, data_type=model_config_pb2.TYPE_INT32, dims=[-1])
    _add_token_report(config)
    config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    config.dynamic_batching.max_queue_delay_microseconds = TOKENIZER_QUEUE_DELAY_US
    config.parameters["max_length"].string_value = str(info.max_length)
    return config


def _bert(info: ClassifierInfo) -> ModelConfig:
    config = ModelConfig(
        name=info.name + contract.BERT_SUFFIX, backend="onnxruntime", max_batch_size=info.max_batch_size
    )
    for name in _TOKEN_INPUTS:
        # Ragged: Triton hands over the tokens of all requests of a batch as one row without padding.
        config.input.add(name=name, data_type=model_config_pb2.TYPE_INT32, dims=[-1], allow_ragged_batch=True)
    _add_scores(config, info)
    for output in config.output:
        output.label_filename = LABELS_FILE
    config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    config.dynamic_batching.max_queue_delay_microseconds = BERT_QUEUE_DELAY_US
    return config


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

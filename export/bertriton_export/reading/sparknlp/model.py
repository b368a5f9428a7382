"""Read a `BertForSequenceClassification` that Spark NLP saved, folder or zip, without a JVM or TensorFlow.

    metadata/part-00000                       one line of JSON: class, engine, settings
    fields/{vocabulary,labels}/part-0000N     SequenceFiles of Java-serialised pairs
    bert_classification_tensorflow            a zip: GraphDef and TensorFlow checkpoint
    bert_classification_onnx                  or, by the engine, a zip of one ONNX file

A saved PipelineModel holds the same below `stages/`, and a download may have one folder around it.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from typing import TYPE_CHECKING, Any, Final

from bertriton import contract
from bertriton_export.checkpoint import (
    Checkpoint,
    Weights,
    config_from_shapes,
    longest_text,
    parse_json,
    short,
    wordpiece_tokenizer,
)
from bertriton_export.errors import CheckpointError, UnsupportedModelError
from bertriton_export.reading.files import Archive, Subtree, open_tree, release_pages
from bertriton_export.reading.onnx_file import OnnxClassifier
from bertriton_export.reading.sparknlp.java_objects import read_pairs
from bertriton_export.reading.sparknlp.sequence_file import read_records
from bertriton_export.reading.tensorflow import graph_def_facts, tree_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bertriton_export.checkpoint import GraphFacts, LazyTensor
    from bertriton_export.reading.files import FileTree

FORMAT: Final = "Spark NLP"
MODEL_CLASS: Final = "com.johnsnowlabs.nlp.annotators.classifier.dl.BertForSequenceClassification"

_METADATA: Final = re.compile(r"(?:(?P<folder>.+)/)?metadata/part-\d+(-.*)?")
_ENGINES: Final = ("tensorflow", "onnx")
_MODEL_PREFIX: Final = "bert_classification_"  # the engine follows
_GRAPH_MEMBER: Final = "saved_model.pb"
_VARIABLES: Final = "variables"

# What the annotator assumes where an older version saved no such setting.
DEFAULT_SETTINGS: Final[dict[str, Any]] = {
    "engine": "tensorflow",
    "caseSensitive": True,
    "maxSentenceLength": 128,
    "activation": "softmax",
    "threshold": 0.5,
    "coalesceSentences": False,
}
_ACTIVATION_TO_PROBLEM_TYPE: Final = {
    "softmax": contract.SINGLE_LABEL,
    "sigmoid": contract.MULTI_LABEL,
}


def is_sparknlp(path: Path) -> bool:
    """Whether a path looks like something `read_sparknlp` reads."""
    if path.is_dir():
        folders = [path, *(child for child in path.iterdir() if child.is_dir())]
        return any((folder / "metadata").is_dir() for folder in folders)
    return zipfile.is_zipfile(path) and any(map(_METADATA.fullmatch, open_tree(path).names()))


def read_sparknlp(path: Path, labels: Sequence[str] | None = None) -> Checkpoint:
    """Read and check a saved model, alone or as a stage of a saved PipelineModel.

    Args:
        path: the folder, or the zip as it was downloaded.
        labels: names to use instead of the saved ones, in the order of the logits.

    Raises:
        CheckpointError: a file is missing, damaged or contradicts another.
        UnsupportedModelError: no or several such models, or an engine or activation that cannot be served.
    """
    tree, settings = _find_model(open_tree(path))
    file, tensors, facts, sha256 = _read_model(tree, settings["engine"])
    config = config_from_shapes(tensors, facts, file)
    vocabulary_file, vocabulary = _read_field(tree, "vocabulary")
    tokenizer = wordpiece_tokenizer(
        vocabulary, {"do_lower_case": not settings["caseSensitive"]}, vocabulary_file, config
    )
    return Checkpoint(
        path=path,
        config=config,
        weights=Weights(config, tensors, file),
        tokenizer_json=tokenizer.to_str(),
        labels=tuple(labels) if labels is not None else _labels(tree),
        problem_type=_ACTIVATION_TO_PROBLEM_TYPE[settings["activation"]],
        # maxSentenceLength is a pipeline's setting, which `setMaxSentenceLength` may raise later: no limit.
        max_length=longest_text(tree.path, config, tokenizer),
        sha256=sha256,
        threshold=settings["threshold"],
        source={"format": FORMAT, **settings},
    )


def _find_model(tree: FileTree) -> tuple[FileTree, dict[str, Any]]:
    found, others = [], []
    for name in tree.names():
        if match := _METADATA.fullmatch(name):
            metadata = _read_metadata(tree, name)
            if metadata["class"] == MODEL_CLASS:
                found.append((Subtree(tree, match["folder"]) if match["folder"] else tree, name, metadata))
            else:
                others.append(metadata["class"])
    if not found:
        raise UnsupportedModelError(
            f"{tree.path}: no {MODEL_CLASS} in it; found {', '.join(sorted(set(others)))}"
        )
    if len(found) > 1:
        raise UnsupportedModelError(
            f"{tree.path}: {len(found)} classifiers in it; export each by its own folder "
            f"({', '.join(str(model.path) for model, _, _ in found)})"
        )
    model, name, metadata = found[0]
    return model, _settings(tree.path / name, metadata)


def _read_metadata(tree: FileTree, name: str) -> dict[str, Any]:
    file = tree.path / name
    metadata = parse_json(file, bytes(tree.read(name)))
    if not isinstance(metadata.get("class"), str):
        raise CheckpointError(file, "names no class: not the metadata of a Spark ML model")
    return metadata


def _settings(file: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    settings = dict(DEFAULT_SETTINGS)
    for key in ("defaultParamMap", "paramMap"):
        saved = metadata.get(key, {})
        if not isinstance(saved, dict):
            raise CheckpointError(file, f"{key}: expected an object, found {type(saved).__name__}")
        settings |= {name: value for name, value in saved.items() if name in DEFAULT_SETTINGS}
    for name, default in DEFAULT_SETTINGS.items():
        if type(settings[name]) is not type(default):
            raise CheckpointError(
                file, f"{name}: expected a {type(default).__name__}, found {short(settings[name])}"
            )
    if settings["activation"] not in _ACTIVATION_TO_PROBLEM_TYPE:
        raise UnsupportedModelError(
            f"{file}: activation {short(settings['activation'])}, "
            f"expected one of {', '.join(_ACTIVATION_TO_PROBLEM_TYPE)}"
        )
    if settings["maxSentenceLength"] < 1 or not 0 <= settings["threshold"] <= 1:
        raise CheckpointError(
            file,
            f"maxSentenceLength {settings['maxSentenceLength']} and threshold {settings['threshold']}: "
            "expected 1 or more, and a probability",
        )
    return settings


def _read_field(tree: FileTree, field: str) -> tuple[Path, dict[str, Any]]:
    """A saved map from text to number, and the folder it is in."""
    folder = tree.path / "fields" / field
    pattern = re.compile(rf"fields/{field}/part-\d+")
    parts = [name for name in tree.names() if pattern.fullmatch(name)]
    if not parts:
        raise CheckpointError(folder, "no SequenceFiles (part-00000, ...) in it")
    pairs: dict[str, Any] = {}
    for name in parts:
        file = tree.path / name
        for record in read_records(file, bytes(tree.read(name))):
            for text, number in read_pairs(file, record):
                if not isinstance(number, int) or number < 0 or text in pairs:
                    raise CheckpointError(
                        file, f"{short(text)}: expected one number from 0, found {short(number)}"
                    )
                pairs[text] = number
    if len(set(pairs.values())) != len(pairs):
        raise CheckpointError(folder, "two entries have the same number")
    return folder, pairs


def _labels(tree: FileTree) -> tuple[str, ...]:
    folder, label_to_index = _read_field(tree, "labels")
    if sorted(label_to_index.values()) != list(range(len(label_to_index))):
        raise CheckpointError(folder, f"expected numbers from 0, one a label, found {short(label_to_index)}")
    return tuple(sorted(label_to_index, key=label_to_index.__getitem__))


def _read_model(tree: FileTree, engine: str) -> tuple[Path, dict[str, LazyTensor], GraphFacts, str]:
    """The model file, its tensors, what its graph tells, and the sha256 of what the file holds."""
    if engine not in _ENGINES:
        raise UnsupportedModelError(
            f"{tree.path}: engine {short(engine)}, expected one of {', '.join(_ENGINES)}"
        )
    name = _MODEL_PREFIX + engine
    file = tree.path / name
    if name not in tree.names():
        raise CheckpointError(file, f"no such file, and the metadata says that the engine is {engine}")
    archive = Archive(file, tree.read(name))
    tensors, facts = (_tensorflow_parts if engine == "tensorflow" else _onnx_parts)(archive)
    digest = hashlib.sha256()
    for member in archive.names():
        digest.update(archive.read(member))
        release_pages(archive.read(member))
    return file, tensors, facts, digest.hexdigest()


def _tensorflow_parts(archive: Archive) -> tuple[dict[str, LazyTensor], GraphFacts]:
    file = archive.path / _GRAPH_MEMBER
    if _GRAPH_MEMBER not in archive.names():
        raise CheckpointError(file, "no such file")
    return dict(tree_tensors(archive, _VARIABLES)), graph_def_facts(archive.read(_GRAPH_MEMBER), file)


def _onnx_parts(archive: Archive) -> tuple[dict[str, LazyTensor], GraphFacts]:
    if len(archive.names()) != 1:
        raise CheckpointError(archive.path, f"expected one ONNX file in it, found {short(archive.names())}")
    (name,) = archive.names()
    classifier = OnnxClassifier(archive.path / name, archive.read(name))
    return classifier.tensors(), classifier.facts()

"""The fingerprint of an export: equal where answers mean the same, and different where they may not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bertriton import contract

if TYPE_CHECKING:
    from bertriton_export.checkpoint import Checkpoint
    from bertriton_export.int8 import Int8Request
    from bertriton_export.targets import GraphRequest


def fingerprint_for(checkpoint: Checkpoint, target: str, request: GraphRequest) -> str:
    """The first 8 bytes of a hash over all that changes what an answer means, as 16 hexadecimal digits.

    That is what the checkpoint says (weights, dimensions, tokenizer, labels, problem type, threshold, length,
    defaults of truncation)
    and how its graph computes it (target, precision, int8's options and texts). The name is not in it, nor is
    this package's version: the same export by another name, or made anew, is the same model.

    Args:
        checkpoint: what is exported.
        target: what the graph is made for.
        request: what the graph is to be like; its own fingerprint does not count.

    Example:
        >>> fingerprint_for(checkpoint, "cpu", GraphRequest("fp32"))
        '3f0c62a9d1b7e845'
    """
    settings = {**_meaning(checkpoint), "target": target, "precision": request.precision}
    settings["int8"] = _int8(request.int8) if request.int8 else None
    document = json.dumps(settings, sort_keys=True).encode()
    return hashlib.sha256(document).hexdigest()[: 2 * contract.FINGERPRINT_BYTES]


def _meaning(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "contract": contract.CONTRACT_VERSION,
        "weights": checkpoint.sha256,
        "bert": asdict(checkpoint.config),
        "tokenizer": sha256_of_text(checkpoint.tokenizer_json),
        "labels": checkpoint.labels,
        "problem_type": checkpoint.problem_type,
        "threshold": checkpoint.threshold,
        "max_length": checkpoint.max_length,
        "truncation": asdict(checkpoint.truncation),
    }


def _int8(request: Int8Request) -> dict[str, Any]:
    return {
        "keep_fp32": sorted(request.keep_fp32),
        "texts": sha256_of_text(json.dumps([request.texts.calibrating, request.texts.judging])),
    }


def sha256_of_text(text: str) -> str:
    """The sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

"""Every failure is one of ours and carries its circumstances."""

from __future__ import annotations

import pickle

import grpc
import pytest

import bertriton
from bertriton import _errors
from bertriton._errors import STATUS_TO_ERROR, BertritonError, InvalidTextError, OverloadedError


def _subclasses(of: type[BertritonError]) -> list[type[BertritonError]]:
    """All below a class; the command line has two more for its files, which are no part of the client."""
    own = [cls for cls in of.__subclasses__() if cls.__module__ == _errors.__name__]
    return [leaf for cls in own for leaf in (cls, *_subclasses(cls))]


@pytest.mark.parametrize("status", grpc.StatusCode)
def test_every_grpc_status_has_a_class_of_ours(status: grpc.StatusCode) -> None:
    assert issubclass(STATUS_TO_ERROR[status], BertritonError)


def test_only_what_another_try_can_mend_is_retryable() -> None:
    expected = {
        "UnavailableError",
        "ConnectionFailedError",
        "OverloadedError",
        "ModelNotReadyError",
        "DeadlineError",
    }

    assert {cls.__name__ for cls in _subclasses(BertritonError) if cls.retryable} == expected


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    tree = [line for line in (_errors.__doc__ or "").splitlines() if "+--" in line]
    drawn = {line.split("+--")[1].split()[0]: line.index("+--") // 4 for line in tree}
    depths = {cls.__name__: len(cls.__mro__) for cls in _subclasses(BertritonError)}

    assert drawn.keys() == depths.keys()
    for name, depth in drawn.items():
        bases = {base.__name__ for base in getattr(_errors, name).__mro__}
        assert depth == len(bases & drawn.keys()) - 1


def test_every_error_is_public() -> None:
    assert {cls.__name__ for cls in _subclasses(BertritonError)} < set(bertriton.__all__)


def test_an_error_tells_its_circumstances() -> None:
    error = OverloadedError("queue full", model="imdb", request_id="r1", attempts=3, elapsed_s=1.234)

    assert str(error) == "queue full (3 attempts in 1.23 s, request r1)"
    assert (error.model, error.request_id, error.attempts, error.elapsed_s) == ("imdb", "r1", 3, 1.234)


def test_an_error_survives_pickling() -> None:
    error = InvalidTextError("text 7: no text", model="imdb")
    error.index = 7

    copied = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes

    assert (str(copied), copied.model, copied.index) == (str(error), "imdb", 7)


def test_a_callers_mistake_is_also_the_builtin_error() -> None:
    assert issubclass(InvalidTextError, ValueError)
    assert not issubclass(OverloadedError, ValueError)

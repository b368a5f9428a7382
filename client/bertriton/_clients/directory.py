"""Which classifiers a server holds, asked once and remembered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tritonclient.grpc import service_pb2

from bertriton._errors import ModelNotFoundError, ModelNotReadyError, UnexpectedAnswerError
from bertriton._types import ServedClassifier
from bertriton._wire import Attempts, candidate_names, classifier_info, part_names

if TYPE_CHECKING:
    from bertriton._wire import Flow, Sender
    from bertriton.contract import ClassifierInfo

DESCRIPTION_ATTEMPTS: Final = 8  # questions for the config that belongs to one answer
MAX_DESCRIPTIONS: Final = 64  # remembered, the oldest goes; a roll-out needs two

_READY: Final = "READY"  # Triton's word for a version that answers


class Directory:
    """The classifiers seen so far, shared by a client and its copies.

    What a server says of a classifier counts for answers of the same fingerprint and for no others: the
    replica that is asked may be another than the one that answered, and either may have been replaced since.
    """

    def __init__(self) -> None:
        # By model and version asked for, "" being the server's choice: as of the last answer, before the
        # first as of the config.
        self._latest: dict[tuple[str, str], ClassifierInfo] = {}
        self._answered: dict[tuple[str, str], str] = {}  # likewise, the fingerprint of the last answer
        self._described: dict[tuple[str, str], ClassifierInfo] = {}  # by model and fingerprint
        self._only_model: str | None = None

    def find(self, sender: Sender, model: str | None, version: str, timeout_s: float) -> Flow[ClassifierInfo]:
        """The classifier of that name; without a name the only one of the server.

        Raises:
            ModelNotFoundError: there is none, or several and no name was given.
        """
        name = model or self._only_model
        if name is None:
            name = yield from self._only_classifier(sender, timeout_s)
            self._only_model = name
        info = self._latest.get((name, version))
        if info is None:
            info = yield from _required_info(sender, name, version, timeout_s)
            self._remember(info)
            self._latest[name, version] = info
        return info

    def find_answered(
        self, sender: Sender, name: str, version: str, fingerprint: str, timeout_s: float
    ) -> Flow[ClassifierInfo]:
        """The classifier whose fingerprint an answer carries; this counts as its last answer.

        Raises:
            ModelNotReadyError: no server that was asked is of that fingerprint.
        """
        if (name, fingerprint) not in self._described:
            yield from self._ask_until_described(sender, name, version, fingerprint, timeout_s)
        info = self._described.get((name, fingerprint))
        if info is None:
            raise ModelNotReadyError(
                f"model {name!r} is being replaced: an answer was made by the export {fingerprint}, and no "
                "config tells its labels; if it stays so, load all three models again, or export them again",
                model=name,
            )
        self._latest[name, version] = info
        self._answered[name, version] = fingerprint
        return info

    def _ask_until_described(
        self, sender: Sender, name: str, version: str, fingerprint: str, timeout_s: float
    ) -> Flow[None]:
        """Ask several times: of the replicas behind one address each gets a share of the questions."""
        ends_s = time.monotonic() + timeout_s
        for _ in range(DESCRIPTION_ATTEMPTS):
            try:
                info = yield from _info(sender, name, version, ends_s - time.monotonic())
            except (ModelNotFoundError, UnexpectedAnswerError):
                continue  # a replica that has not got the model yet, or has it from an older export
            if info is not None:
                self._remember(info)
            if (name, fingerprint) in self._described:
                return

    def _remember(self, info: ClassifierInfo) -> None:
        self._described[info.name, info.fingerprint] = info
        while len(self._described) > MAX_DESCRIPTIONS:
            self._described.pop(next(iter(self._described)), None)

    def answered_fingerprint(self, model: str, version: str) -> str:
        """The fingerprint of the last answer, empty before the first."""
        return self._answered.get((model, version), "")

    def forget(self, model: str) -> None:
        """Ask again at the next call: what is remembered has turned out wrong."""
        self._latest = {key: info for key, info in self._latest.items() if key[0] != model}
        self._answered = {key: value for key, value in self._answered.items() if key[0] != model}
        self._described = {key: info for key, info in self._described.items() if key[0] != model}
        self._only_model = None

    def list(self, sender: Sender, timeout_s: float) -> Flow[list[ServedClassifier]]:
        """Every classifier of the server, also those that do not answer now, sorted by name."""
        index = yield from _index(sender, timeout_s)
        served = []
        for name in candidate_names(index):
            entries = [entry for entry in index.models if entry.name == name]
            versions = sorted((entry.version for entry in entries if entry.state == _READY), key=int)
            info = (yield from _info(sender, name, "", timeout_s)) if versions else None
            # A model that is not ready tells nothing of itself; its parts give a classifier away.
            if info is not None or (
                not versions and part_names(name) <= {entry.name for entry in index.models}
            ):
                reason = "" if versions else next((entry.reason for entry in entries if entry.reason), "")
                served.append(ServedClassifier(info, name, tuple(versions), bool(versions), reason))
        return served

    def _only_classifier(self, sender: Sender, timeout_s: float) -> Flow[str]:
        served = yield from self.list(sender, timeout_s)
        ready = [classifier for classifier in served if classifier.ready]
        if len(ready) == 1:
            return ready[0].name
        if ready:
            names = ", ".join(classifier.name for classifier in ready)
            raise ModelNotFoundError(
                f"the server holds several classifiers, say which one with model= or --model: {names}"
            )
        if served:
            states = ", ".join(
                f"{classifier.name} ({classifier.reason or 'loading'})" for classifier in served
            )
            raise ModelNotReadyError(f"no classifier of the server is ready: {states}")
        raise ModelNotFoundError(
            "the server holds no classifier: export one with `bertriton export` into its model repository"
        )


def _index(sender: Sender, timeout_s: float) -> Flow[Any]:
    request = service_pb2.RepositoryIndexRequest()
    return (yield from sender.ask(Attempts("", "", "", timeout_s), "RepositoryIndex", request))


def _info(sender: Sender, name: str, version: str, timeout_s: float) -> Flow[ClassifierInfo | None]:
    request = service_pb2.ModelConfigRequest(name=name, version=version)
    response = yield from sender.ask(Attempts(name, version, "", timeout_s), "ModelConfig", request)
    return classifier_info(response)


def _required_info(sender: Sender, name: str, version: str, timeout_s: float) -> Flow[ClassifierInfo]:
    info = yield from _info(sender, name, version, timeout_s)
    if info is None:
        raise ModelNotFoundError(
            f"model {name!r} is served, but is not a classifier of bertriton's", model=name
        )
    return info

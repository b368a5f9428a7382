"""Which classifiers a server holds, asked once and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tritonclient.grpc import service_pb2

from bertriton._errors import ModelNotFoundError, ModelNotReadyError
from bertriton._types import ServedClassifier
from bertriton._wire import Attempts, candidate_names, classifier_info, part_names

if TYPE_CHECKING:
    from bertriton._wire import Flow, Sender
    from bertriton.contract import ClassifierInfo

_READY: Final = "READY"  # Triton's word for a version that answers


class Directory:
    """The classifiers seen so far, shared by a client and its copies."""

    def __init__(self) -> None:
        self._infos: dict[
            tuple[str, str], ClassifierInfo
        ] = {}  # by model and version; "" is the server's choice
        self._answered_versions: dict[str, str] = {}  # by model, the version of its last answer
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
        info = self._infos.get((name, version))
        if info is None:
            info = yield from _required_info(sender, name, version, timeout_s)
            self._infos[name, version] = info
        return info

    def find_answered(
        self, sender: Sender, info: ClassifierInfo, answered_version: str, timeout_s: float
    ) -> Flow[ClassifierInfo]:
        """The classifier as of the version that answered: a reloaded model may have other labels."""
        name = info.name
        known = self._infos.get((name, answered_version))
        if known is None:
            reloaded = name in self._answered_versions
            known = (yield from _required_info(sender, name, "", timeout_s)) if reloaded else info
            self._infos[name, answered_version] = known
            self._infos[name, ""] = known
        self._answered_versions[name] = answered_version
        return known

    def answered_version(self, model: str) -> str:
        """The version that answered last, empty before the first answer."""
        return self._answered_versions.get(model, "")

    def forget(self, model: str) -> None:
        """Ask again at the next call: what is remembered has turned out wrong."""
        self._infos = {key: info for key, info in self._infos.items() if key[0] != model}
        self._answered_versions.pop(model, None)
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
                f"the server holds several classifiers, say which one with model=: {names}"
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
        raise ModelNotFoundError(f"model {name!r} is served, but is no classifier of bertriton's", model=name)
    return info

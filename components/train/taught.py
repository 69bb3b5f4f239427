"""The pipeline's parameter ``trainer`` in, who trains out: the step itself, or a TrainJob that it begins."""

from collections.abc import Callable, Mapping
from typing import Any

from components.train.by_job import ByJob, JobPlace
from components.train.recorded import Teach
from htr.settings import in_kind
from htr.train import train
from k8s.cluster.api import Api, find_api


def teacher(
    trainer: str, *, lines_uri: str, settings: Mapping[str, Any], api: Callable[[], Api] = find_api
) -> Teach:
    """Return who trains.

    Args:
        trainer: "" for the step itself, or ``trainjob[:NAMESPACE/RUNTIME][@QUEUE]``.
        lines_uri: address of the lines' version in a store; "" where they lie in none.
        settings: of the training.
        api: finds Kubernetes; not asked where the step trains.

    Raises:
        SettingsError: it is no such text, the lines lie in no store, or this is no pod.
    """
    place = JobPlace.parse(trainer)
    if place is None:
        return train
    return ByJob(place=place, lines_uri=lines_uri, settings=in_kind(settings), api=api())

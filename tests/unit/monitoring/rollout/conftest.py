"""A cluster's API, for everything about a rollout."""

from collections.abc import Iterator

import pytest

from tests.kubernetes_api import KubernetesApi, kubernetes_api


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as api:
        yield api

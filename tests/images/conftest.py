"""One Docker for all tests of images that run in this process."""

from collections.abc import Iterator

import pytest

from tests.docker import Docker, running_docker


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    with running_docker() as running:
        yield running

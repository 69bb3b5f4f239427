"""One Docker for all tests of images that run in this process."""

import os
from collections.abc import Iterator

import pytest

from tests.docker import ALL_NEEDED_GB, NEEDED_GB, Docker, running_docker

EVERYTHING = "QUILLFLOW_TEST_ALL_IMAGES"
"""Set by ``make test-images``: the other three images take minutes to build."""


def all_images_wanted() -> bool:
    return bool(os.environ.get(EVERYTHING))


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    with running_docker(ALL_NEEDED_GB if all_images_wanted() else NEEDED_GB) as running:
        yield running

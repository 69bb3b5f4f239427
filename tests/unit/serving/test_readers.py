"""Reading in processes of their own."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from htr.errors import BundleError, ImageError
from htr.image import decode_first
from htr.recogniser import Recogniser
from serving.readers import ReaderFailedError, Readers
from tests.conftest import line_png
from tests.servers import untaught_bundle, wait_until

IMAGES = [line_png("one line"), line_png("another line", seed=2), line_png("1", seed=3)]


@pytest.fixture
def readers() -> Iterator[Readers]:
    found = Readers(2, max_seconds=2.0)
    yield found
    found.close()


def has_ended(process_id: int) -> bool:
    return not Path(f"/proc/{process_id}").exists()


@pytest.mark.parametrize("asked", [{}, {"characters": True}, {"characters": True, "alternatives": 4}])
def test_another_process_observes_the_very_same(
    readers: Readers, tiny_bundle: Path, asked: dict[str, int]
) -> None:
    here = list(Recogniser.load(tiny_bundle).observe(IMAGES, **asked))
    remote = readers.load(tiny_bundle)
    assert list(remote.observe(IMAGES, **asked)) == here
    decoded = [decode_first(image) for image in IMAGES]
    assert list(remote.observe_decoded(decoded, **asked)) == here
    assert remote.digest == Recogniser.load(tiny_bundle).digest


def test_two_requests_are_read_at_the_same_time_and_not_mixed_up(readers: Readers, tiny_bundle: Path) -> None:
    remote, here = readers.load(tiny_bundle), list(Recogniser.load(tiny_bundle).observe(IMAGES))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: list(remote.observe([IMAGES[n % 3]])), range(60)))
    assert [one for (one,) in found] == [here[n % 3] for n in range(60)]


def test_an_image_that_cannot_be_read_is_refused_as_here(readers: Readers, tiny_bundle: Path) -> None:
    remote = readers.load(tiny_bundle)
    with pytest.raises(ImageError, match="not an image") as refused:
        list(remote.observe([b"no image"]))
    assert refused.value.reason == "undecodable"


def killed(readers: Readers) -> None:
    for process_id in readers.process_ids:
        os.kill(process_id, signal.SIGKILL)
    wait_until(lambda: not readers.process_ids)


def test_readers_that_die_between_two_requests_cost_none(readers: Readers, tiny_bundle: Path) -> None:
    remote, here = readers.load(tiny_bundle), list(Recogniser.load(tiny_bundle).observe(IMAGES))
    killed(readers)
    assert list(remote.observe(IMAGES)) == here
    assert len(readers.process_ids) == 1, "one is enough for one request; the other is started when it is needed"


def test_a_reader_that_does_not_answer_is_killed(readers: Readers, tiny_bundle: Path) -> None:
    remote = readers.load(tiny_bundle)
    stopped = readers.process_ids
    for process_id in stopped:
        os.kill(process_id, signal.SIGSTOP)
    for _ in stopped:
        with pytest.raises(ReaderFailedError, match="TimeoutError"):
            list(remote.observe(IMAGES[:1]))
    assert list(remote.observe(IMAGES[:1])) == list(Recogniser.load(tiny_bundle).observe(IMAGES[:1]))
    for process_id in stopped:
        if not has_ended(process_id):
            os.kill(process_id, signal.SIGCONT)


def test_a_reader_that_is_started_again_needs_the_bundles_folder_no_more(
    readers: Readers, tiny_bundle: Path, tmp_path: Path
) -> None:
    place, here = tmp_path / "bundle", list(Recogniser.load(tiny_bundle).observe(IMAGES))
    shutil.copytree(tiny_bundle, place)
    remote = readers.load(place)
    shutil.rmtree(place)
    untaught_bundle(place, seed=1)
    killed(readers)
    assert list(remote.observe(IMAGES)) == here


def test_the_model_before_is_read_with_until_it_is_let_go(
    readers: Readers, tiny_bundle: Path, tmp_path: Path
) -> None:
    other = untaught_bundle(tmp_path / "other", seed=1)
    before, after = readers.load(tiny_bundle), readers.load(other)
    assert list(before.observe(IMAGES)) == list(Recogniser.load(tiny_bundle).observe(IMAGES))
    assert list(after.observe(IMAGES)) == list(Recogniser.load(other).observe(IMAGES))


def test_a_folder_that_is_no_bundle_is_refused_as_here(readers: Readers, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=str(tmp_path)):
        readers.load(tmp_path)


def test_closing_ends_the_processes(tiny_bundle: Path) -> None:
    readers = Readers(2)
    readers.load(tiny_bundle)
    process_ids = readers.process_ids
    readers.close()
    assert len(process_ids) == 2
    assert all(has_ended(process_id) for process_id in process_ids)


def test_signals_for_the_server_do_not_end_what_is_being_read(readers: Readers, tiny_bundle: Path) -> None:
    remote, process_ids = readers.load(tiny_bundle), readers.process_ids
    for process_id in process_ids:
        os.kill(process_id, signal.SIGTERM)
        os.kill(process_id, signal.SIGINT)
    time.sleep(0.1)
    assert list(remote.observe(IMAGES[:1]))
    assert readers.process_ids == process_ids

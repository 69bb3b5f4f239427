from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import model_server
from tests.trust.attacks import ATTACKS, Ground


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    kept = ("--corrections", str(folder / "corrections"), "--threads", "1")
    with model_server("--bundle", str(tiny_bundle), *kept) as server:
        yield Ground(folder=folder, bundle=tiny_bundle, server=server)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_with_its_reason(name: str, ground: Ground) -> None:
    reason = ATTACKS[name](ground)
    assert len(reason) > 10
    assert "Traceback" not in reason

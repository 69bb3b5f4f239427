"""In which precision a training computes, and goes on."""

import logging

import pytest

from htr import devices
from htr.devices import FULL, HALF, LAUNCHED, Devices
from htr.errors import SettingsError


@pytest.mark.parametrize(
    ("asked", "able", "begun", "got"),
    [
        ("auto", True, "", HALF),
        ("auto", False, "", FULL),
        ("auto", True, FULL, FULL),  # begun where there was no bf16: the same weights come of it
        ("auto", False, HALF, FULL),
        ("auto", True, HALF, HALF),
        ("32", True, "", FULL),
        ("bf16", False, "", HALF),
    ],
)
def test_a_training_goes_on_as_it_began_where_it_can_and_says_where_it_cannot(
    asked: str,
    able: bool,
    begun: str,
    got: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(devices, "_computes_with_bf16", lambda accelerator: able)
    with caplog.at_level(logging.WARNING):
        assert Devices(accelerator="cpu", precision=asked).lightning_precision(begun) == got
    assert ("bf16" in caplog.text) == (begun == HALF and not able)


def test_several_machines_that_nothing_brings_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="by torchrun"):
        Devices(accelerator="cpu", machines=2).check()
    Devices(accelerator="cpu", count=2).check()
    monkeypatch.setenv("LOCAL_RANK", "0")
    Devices(accelerator="cpu", machines=2).check()

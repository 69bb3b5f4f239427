import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import PEERS, _parser, _settings
from benchmarks.peers.calamari import train_arguments as calamari_arguments
from benchmarks.peers.children import Children, last_words, read_progress, variables_for
from benchmarks.peers.environments import REQUIREMENTS, pinned_version
from benchmarks.peers.kraken import best_checkpoints, frequency
from benchmarks.peers.kraken import train_arguments as kraken_arguments
from benchmarks.peers.layout import Layout, lay_out
from benchmarks.peers.ours import OurReader, Ours, Trial, count_parameters, lines_within
from benchmarks.peers.protocol import PeerError, Settings, Site
from benchmarks.peers.tesseract import TesseractReader, installed_languages
from htr.bundle import Bundle
from htr.export import load_net
from tests.conftest import line_png
from tests.datasets import sound_lines, write_lines

SETTINGS = Settings(threads=2, seed=5)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    layout = lay_out(write_lines(tmp_path / "lines", sound_lines()), tmp_path / "laid", SETTINGS)
    return Site(
        folder=tmp_path / "work",
        environment=tmp_path / "environment",
        layout=layout,
        settings=SETTINGS,
        children=Children("peer", print),
    )


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    texts = ["one line", "two", "a third line of text", "four"]
    files = [tmp_path / f"{number:06d}.png" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(line_png(text, height=48))
    return [str(file) for file in files]


def test_kraken_validates_as_often_as_the_settings_ask() -> None:
    assert float(frequency(Settings(), 8062)) == pytest.approx(0.25, abs=0.001)
    assert frequency(Settings(), 2016) == "1"
    assert frequency(Settings(), 600) == "3"
    assert frequency(Settings(), 2400) == "1"  # a fraction near 1 would be one validation more in vain


def test_kraken_is_given_the_lists_of_training_and_validation_and_no_dewarping(site: Site) -> None:
    told = kraken_arguments(site, site.folder / "model")
    assert told[told.index("-t") + 1] == str(site.layout.list_file("train"))
    assert told[told.index("-e") + 1] == str(site.layout.list_file("val"))
    assert told[told.index("--linetype") + 1] == "baselines"
    assert told[told.index("--seed") + 1] == "5"


def test_the_best_kraken_checkpoint_comes_first_whatever_else_lies_there(tmp_path: Path) -> None:
    names = ["checkpoint_00-0.1200.ckpt", "checkpoint_03-0.5100.ckpt", "checkpoint_02-0.5100-v1.ckpt"]
    for age, name in enumerate([*names, "checkpoint_01--0.0300.ckpt", "checkpoint_abort.ckpt"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    found = best_checkpoints(tmp_path)
    assert [file.name for _, file in found] == [names[2], names[1], names[0], "checkpoint_01--0.0300.ckpt"]
    assert [accuracy for accuracy, _ in found] == [0.51, 0.51, 0.12, -0.03]


def test_calamari_is_given_files_without_a_dot_too_many(site: Site) -> None:
    told = calamari_arguments(site)
    pattern = Path(told[told.index("--train.images") + 1])
    files = sorted(pattern.parent.glob(pattern.name))
    assert len(files) == 24
    assert all(file.name.count(".") == 1 for file in files)
    assert told[told.index("--trainer.samples_per_epoch") + 1] == "2016"


def test_our_budget_is_whole_epochs_with_their_validations() -> None:
    trial = Trial(lines_per_s=100.0, start_s=20.0)
    # 0.91 x 1080 s - 20 s = 963 s; an epoch takes 80 s and its validation 1.2 s: 11 of them.
    assert lines_within(1080, trial, train_lines=8000, val_lines=300) == 11 * 8000


def test_a_budget_below_one_epoch_is_spent_on_a_part_of_it() -> None:
    found = lines_within(100, Trial(lines_per_s=10.0, start_s=5.0), train_lines=8000, val_lines=100)
    assert found == (86 * 10 - 40)
    with pytest.raises(PeerError, match="give more --minutes"):
        lines_within(10, Trial(lines_per_s=10.0, start_s=9.4), train_lines=8000, val_lines=100)


def test_our_further_arguments_come_last_and_their_files_are_found_from_anywhere(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.json").touch()
    monkeypatch.chdir(tmp_path)
    args = _parser().parse_args(["--ours", "--config mine.json --model strong", "--threads", "1"])
    settings = _settings(args, available=1)
    assert settings.ours == ("--config", str(tmp_path / "mine.json"), "--model", "strong")
    told = Ours._training(
        replace(site, settings=settings), Path("progress"), Path("bundle"), ["--max-lines", "9"], 60.0
    )
    assert told[-6:] == ["--max-lines", "9", *settings.ours]
    assert str(site.layout.dataset) in told


@pytest.mark.slow
def test_our_training_stops_when_its_time_is_up_and_leaves_a_bundle(site: Site, tmp_path: Path) -> None:
    progress, bundle = tmp_path / "train.json", tmp_path / "bundle"
    command = Ours._training(site, progress, bundle, ["--max-lines", "1000000"], 3.0)
    ended = site.children.run(
        command,
        log=tmp_path / "log",
        doing="training",
        seconds=300,
        progress=progress,
        variables=variables_for(1),
    )
    assert (ended.status, ended.timed_out) == (0, False), last_words(tmp_path / "log")
    told = read_progress(progress)
    assert 0 < told["lines"] < 1000000
    assert told["validation_cer"] >= 0
    assert len(list(OurReader(str(bundle), 1).read([site.layout.lines["test"][0].file], 1))) == 1


def test_our_parameters_are_those_of_the_network_that_reads(tiny_bundle: Path) -> None:
    net = load_net(Bundle.open(tiny_bundle))
    expected = sum(p.numel() for name, p in net.named_parameters() if not name.startswith("shortcut."))
    assert count_parameters(tiny_bundle / "weights.safetensors") == expected > 0


def test_we_read_the_same_alone_and_shared_out_among_threads(tiny_bundle: Path, images: list[str]) -> None:
    reader = OurReader(str(tiny_bundle), 2)
    alone = list(reader.read(images, 1))
    assert len(alone) == 4
    assert list(reader.read(images, 3)) == alone


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")
def test_tesseract_reads_the_same_on_any_number_of_threads(images: list[str]) -> None:
    language = next(name for name in installed_languages()[1] if name != "osd")
    alone = list(TesseractReader(language, 1).read(images, 1))
    assert len(alone) == 4
    assert dict(alone)[images[0]].strip() == "one line"
    assert list(TesseractReader(language, 3).read(images, 2)) == alone


def test_the_versions_are_pinned() -> None:
    assert pinned_version(REQUIREMENTS / "kraken.txt", "kraken").startswith("7.1.")
    assert pinned_version(REQUIREMENTS / "calamari.txt", "calamari-ocr").startswith("2.3.")
    for file in REQUIREMENTS.glob("*.txt"):
        pins = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        assert pins
        assert all("==" in line for line in pins), file


def test_every_adapter_has_a_name_and_a_fingerprint_of_its_own() -> None:
    peers = [make() for make in PEERS.values()]
    assert [peer.name for peer in peers] == list(PEERS)
    assert len({peer.fingerprint() for peer in peers}) == len(peers)


def test_a_layout_of_other_settings_is_another_one(site: Site, tmp_path: Path) -> None:
    other: Layout = lay_out(
        write_lines(tmp_path / "again", sound_lines()), tmp_path / "b", replace(SETTINGS, train_lines=4)
    )
    assert len(other.lines["train"]) == 4
    assert {line.id for line in other.lines["train"]} <= {line.id for line in site.layout.lines["train"]}

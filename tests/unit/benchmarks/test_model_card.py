"""The card of a model: every figure on it is measured, none is typed in."""

from pathlib import Path

from benchmarks import model_card
from htr.bundle import Bundle
from htr.evaluate import evaluate, rates
from htr.pretrained import PRETRAINED, resolve
from htr.recogniser import Recogniser
from tests.conftest import make_line
from tests.datasets import write_lines

TEXTS = ("nous avons marché", "toute la nuit", "Chère maman et cher papa", "il pleut")


def test_the_card_says_what_was_measured(tmp_path: Path) -> None:
    sources = ("copiste", "copiste", "poilus", "names")
    lines = write_lines(
        tmp_path / "lines",
        [make_line(text, n, split="test", source=sources[n], language="fra") for n, text in enumerate(TEXTS)],
    )
    bundle = Bundle.open(resolve(PRETRAINED))
    found = evaluate(Recogniser(bundle), lines, ["test"])
    text = model_card.card(bundle, found, "python -m htr train lot --out model")
    known = rates([line for line in found.lines if line.source != "names"])
    assert f"| all it learnt | 3 | {known.cer:.1%} [" in text
    assert {row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| ")} >= {
        "all it learnt",
        "copiste",
        "poilus",
        "names",
        "language fra",
    }
    assert "python -m htr train lot --out model" in text
    assert "CC BY 4.0" in text


def test_the_shipped_card_is_of_the_shipped_bundle() -> None:
    folder = resolve(PRETRAINED)
    bundle = Bundle.open(folder)
    card = (folder.parent / "README.md").read_text(encoding="utf-8")
    assert bundle.digest.removeprefix("sha256:")[:12] in card
    assert f"{bundle.trained_lines:,} lines" in card
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12e6
    assert "names" not in model_card.learnt()

"""The evaluation page: every figure is there, every text is escaped, and it stands alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.evaluate.charts import curves_svg
from components.evaluate.report_page import Segment, compared, evaluation_page
from htr.confidence_figures import confidence_figures
from htr.evaluate import Evaluation, evaluate, rates
from htr.lines import LinesDataset
from htr.metrics import count_errors
from htr.recogniser import Recogniser
from tests.conftest import make_line
from tests.datasets import rewrite, write_lines
from tests.pages import Page, read_offline

CURVES = [
    {"epoch": n, "loss": 3.0 / (n + 1), "val_loss": float("nan"), "val_cer": 0.5, "learning_rate": 1e-3}
    for n in range(3)
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LinesDataset:
    splits = ["test"] * 30 + ["recent"] * 4 + ["val"] * 4
    lines = [
        make_line(f"line {n} of <b>", n, split=split, source="drawn" if n % 2 else "<script>alert(1)</script>")
        for n, split in enumerate(splits)
    ]
    path = tmp_path_factory.mktemp("lines") / "lines"
    write_lines(path, [replace(line, language="fra" if n % 3 else "") for n, line in enumerate(lines)])
    return rewrite(LinesDataset.open(path), lambda rows: [rows[0] | {"image": b"no image"}, *rows[1:]])


@pytest.fixture(scope="module")
def untaught(dataset: LinesDataset, tiny_bundle: Path) -> Evaluation:
    return evaluate(Recogniser.load(tiny_bundle), dataset, ["test", "recent", "val"])


@pytest.fixture(scope="module")
def better(untaught: Evaluation) -> Evaluation:
    """The same lines, read but for their first letter."""
    lines = [
        replace(line, reading="L" + line.truth[1:], errors=count_errors(line.truth, "L" + line.truth[1:]))
        for line in untaught.lines
    ]
    return replace(untaught, lines=lines, bundle_digest="sha256:better")


def shown(evaluation: Evaluation, dataset: LinesDataset, champion: Evaluation | None = None) -> Page:
    html = evaluation_page(evaluation, dataset=dataset, champion=champion, curves=CURVES)
    assert "alert(1)</script>" not in html
    assert "of <b>" not in html
    return read_offline(html)


def test_a_first_model_is_shown_by_itself(untaught: Evaluation, dataset: LinesDataset) -> None:
    page = shown(untaught, dataset)
    golden = rates(untaught.of("test"))
    assert f"Character error rate, golden test{100 * golden.cer:.1f} %" in page.text
    low, high = golden.cer_interval
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f}, 30 lines" in page.text
    assert "champion" not in page.text.lower()
    for title in ("recent corrections", "By source, golden test", "By language, recent corrections", "(unknown)"):
        assert title in page.text
    assert page.tags.count("svg") == 3


def test_the_champion_stands_beside_the_challenger(
    better: Evaluation, untaught: Evaluation, dataset: LinesDataset
) -> None:
    held_out = [line for line in untaught.lines if line.split != "val"]
    page = shown(better, dataset, champion=replace(untaught, lines=held_out))
    assert "Championsha256:" in page.text.replace(" ", "")
    rival, mine = rates(untaught.of("test")), rates(better.of("test"))
    assert f"champion {100 * rival.cer:.1f} %" in page.text
    assert f"−{100 * (rival.cer - mine.cer):.1f}" in page.text
    assert "lL30" in page.text.replace(" ", "")  # the commonest confusion on 30 golden lines


def test_worst_and_random_lines_are_images_in_the_page(untaught: Evaluation, dataset: LinesDataset) -> None:
    page = shown(untaught, dataset)
    assert 46 <= len(page.images) <= 48
    assert all(address.startswith("data:image/png;base64,") for address in page.images)
    assert "bytes are not an image" in page.text  # the one broken line is among the worst, and says so
    assert "line 3 of <b>" in page.text
    assert page.tags.count("mark") > 48


def test_the_same_evaluation_gives_the_same_page(untaught: Evaluation, dataset: LinesDataset) -> None:
    pages = {evaluation_page(untaught, dataset=dataset) for _ in range(2)}
    assert len(pages) == 1


def test_without_golden_lines_all_lines_stand_for_the_model(untaught: Evaluation, dataset: LinesDataset) -> None:
    only_val = replace(untaught, lines=untaught.of("val"))
    page = shown(only_val, dataset)
    assert "Characters, all lines" in page.text
    assert "Character error rate, validation" in page.text


def test_an_evaluation_without_lines_is_a_page_all_the_same(untaught: Evaluation, dataset: LinesDataset) -> None:
    page = read_offline(evaluation_page(replace(untaught, lines=[]), dataset=dataset))
    assert "How well the challenger reads" in page.text


def test_truth_and_reading_are_cut_where_they_differ() -> None:
    truth, reading = compared("carts", "cats!")
    assert truth == [
        Segment(text="ca", wrong=False),
        Segment(text="r", wrong=True),
        Segment(text="ts", wrong=False),
        Segment(text="", wrong=True),
    ]
    assert reading == [
        Segment(text="ca", wrong=False),
        Segment(text="", wrong=True),
        Segment(text="ts", wrong=False),
        Segment(text="!", wrong=True),
    ]


def test_the_worth_of_the_confidence_is_said_in_figures_and_words(
    untaught: Evaluation, dataset: LinesDataset
) -> None:
    lines = [
        replace(line, confidence=0.9, reading=line.truth, errors=count_errors(line.truth, line.truth))
        if number % 3 == 0 and line.profile is not None
        else replace(line, confidence=0.1 + number / 100)
        for number, line in enumerate(untaught.lines)
    ]
    mixed = replace(untaught, lines=lines)
    page = shown(mixed, dataset)
    figures = confidence_figures(mixed.of("test"), mixed.of("val"))
    assert 0 < figures.checked_share < 1
    assert f"Expected calibration error{100 * figures.error.ece:.1f} %" in page.text
    assert f"must check {100 * figures.checked_share:.1f} % of them so that the rest has at most 1" in page.text
    assert "readings from a confidence of 90.0 % up are accepted" in page.text
    nothing_right = shown(untaught, dataset)
    assert "a person must check all of them" in nothing_right.text
    assert "accepts none of these" in nothing_right.text


def test_curves_leave_out_what_the_epochs_lack() -> None:
    assert curves_svg([]) == ""
    assert curves_svg([{"epoch": 0, "loss": float("inf")}]) == ""
    svg = curves_svg(CURVES)
    assert "learning rate" in svg
    assert "validation" not in svg


def test_texts_are_cut_between_letters_and_never_before_a_mark() -> None:
    truth, reading = compared("am\u0300b", "amb")
    assert [piece.text for piece in truth] == ["a", "m\u0300", "b"]
    assert [piece.text for piece in reading] == ["a", "m", "b"]


def test_graphemes_have_a_column_only_where_they_differ(untaught: Evaluation, dataset: LinesDataset) -> None:
    plain = shown(untaught, dataset)
    assert "CER in graphemes" not in plain.text
    assert "Counted in grapheme clusters, CER is the same" in plain.text
    marked = [
        replace(line, truth="m\u0300n", reading="mn", errors=count_errors("m\u0300n", "mn"))
        for line in untaught.lines
    ]
    for rival in (None, untaught):
        page = shown(replace(untaught, lines=marked), dataset, champion=rival)
        assert "CER in graphemes" in page.text
        assert "33.3 %" in page.text  # of code points
        assert "50.0 %" in page.text  # of clusters
        assert "\u25cc\u0300" in page.text  # the mark alone, on a dotted circle


def test_lines_that_do_not_come_back_from_the_paper_are_counted(
    untaught: Evaluation, dataset: LinesDataset
) -> None:
    arabic = "\u0633\u0644\u0627\u0645"
    assert "another text would look the same" not in shown(untaught, dataset).text
    first, *others = untaught.lines
    mixed = replace(first, truth=f"{arabic} abc 12", errors=count_errors(f"{arabic} abc 12", ""))
    page = shown(replace(untaught, lines=[mixed, *others]), dataset)
    assert "1 line mixes writing directions" in page.text

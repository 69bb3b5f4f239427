"""The gate's rules, case by case."""

from typing import Any

import pytest

from components.gate.rules import decide
from htr.errors import DataError


def report(
    golden: list[tuple[int, int]], recent: list[tuple[int, int]] = (), sources: str = "a", champion: bool = True
) -> dict[str, Any]:
    """Build a report from (challenger edits, champion edits) of lines of ten characters."""
    lines = [
        {"id": f"{split}{n}", "split": split, "source": source, "characters": 10, "edits": mine,
         "champion_edits": theirs if champion else None}
        for split, pairs in (("test", golden), ("recent", recent))
        for n, ((mine, theirs), source) in enumerate(zip(pairs, sources * len(pairs), strict=False))
    ]  # fmt: skip
    cer = sum(mine for mine, _ in golden) / max(1, 10 * len(golden))
    summary = {"splits": {"test": {"cer": cer, "cer_interval": [cer, cer], "lines": len(golden)}}}
    return {"challenger": summary, "champion": summary if champion else None, "lines": lines}


BETTER, SAME, WORSE = (0, 3), (2, 2), (3, 1)


@pytest.mark.parametrize(
    ("golden", "recent", "rule", "promote"),
    [
        ([SAME] * 50, [BETTER] * 30, "recent", True),
        ([SAME] * 50, [SAME] * 30, "recent", False),
        ([SAME] * 50, [WORSE] * 30, "recent", False),
        ([WORSE] * 50, [BETTER] * 30, "recent", False),
        ([SAME] * 50, [BETTER, WORSE, WORSE], "recent", False),
        ([BETTER] * 50, [], "golden", True),
        ([SAME] * 50, [], "golden", False),
        ([(1, 1)] * 49 + [(0, 1)], [], "golden", False),
    ],
)
def test_the_rules(golden: list[Any], recent: list[Any], rule: str, promote: bool) -> None:
    decision = decide(report(golden, recent), cer_ceiling=0.5, margin=0.01)
    assert (decision.rule, decision.promote) == (rule, promote)


def test_a_subset_that_gets_worse_stops_a_challenger_that_is_better_on_the_whole() -> None:
    golden = [(0, 2), (2, 1)] * 30
    decision = decide(report(golden, [BETTER] * 30, sources="ab"), cer_ceiling=0.5, margin=0.01)
    assert not decision.promote
    assert [check.name for check in decision.checks if not check.passed] == ["golden b"]


@pytest.mark.parametrize(("edits", "promote"), [(4, True), (5, False), (6, False)])
def test_a_first_model_must_beat_the_ceiling(edits: int, promote: bool) -> None:
    decision = decide(report([(edits, 0)] * 20, champion=False), cer_ceiling=0.5, margin=0.01)
    assert decision.rule == "first"
    assert decision.promote is promote
    assert "50.0%" in decision.reason


def test_the_same_report_always_gives_the_same_decision() -> None:
    content = report([(1, 2), (2, 1), (0, 1)] * 20, [(1, 2), (2, 2)] * 10)
    assert decide(content, cer_ceiling=0.5, margin=0.01) == decide(content, cer_ceiling=0.5, margin=0.01)


def test_lines_that_the_champion_did_not_read_are_an_error() -> None:
    content = report([SAME] * 5)
    content["lines"][3]["champion_edits"] = None
    with pytest.raises(DataError, match="test3"):
        decide(content, cer_ceiling=0.5, margin=0.01)


def test_no_golden_test_is_an_error() -> None:
    with pytest.raises(DataError, match="golden"):
        decide(report([]), cer_ceiling=0.5, margin=0.01)

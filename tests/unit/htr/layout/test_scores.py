"""Recall, precision and the text of found lines, on boxes whose overlaps are known."""

import pytest

from htr.layout.geometry import Points, iou
from htr.layout.scores import LineCounts, count_lines, inside, match, text_errors


def box(left: float, top: float, width: float = 99, height: float = 19) -> Points:
    return (left, top), (left + width, top), (left + width, top + height), (left, top + height)


def test_overlap_is_that_of_the_areas() -> None:
    assert iou(box(0, 0), box(0, 0)) == 1.0
    assert iou(box(0, 0), box(0, 10)) == pytest.approx(10 / 30)
    assert iou(box(0, 0), box(50, 0)) == pytest.approx(50 / 150)
    assert iou(box(0, 0), box(200, 0)) == 0.0
    triangle = ((0.0, 0.0), (100.0, 0.0), (0.0, 100.0))
    square = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))
    assert iou(triangle, square) == pytest.approx(0.5, abs=0.01)


def test_each_line_counts_once() -> None:
    marked = [box(0, 0), box(0, 40)]
    assert match([box(0, 1), box(0, 0)], marked) == {1: 0}
    assert count_lines([box(0, 1), box(0, 0), box(0, 41)], marked) == LineCounts(marked=2, found=3, right=2)


def test_half_a_line_is_no_line_and_two_in_one_are_none() -> None:
    assert match([box(0, 0, width=44)], [box(0, 0)]) == {}
    assert match([box(0, 0, height=59)], [box(0, 0), box(0, 40)]) == {}


def test_rates_are_those_of_the_sums() -> None:
    total = LineCounts(marked=10, found=8, right=6) + LineCounts(marked=10, found=12, right=10)
    assert (total.recall, total.precision, total.f1) == (0.8, 0.8, 0.8)
    nothing = LineCounts()
    assert (nothing.recall, nothing.precision, nothing.f1) == (0.0, 0.0, 0.0)


def test_lines_lie_in_zones_by_half_of_their_area() -> None:
    zones = [box(0, 0, width=149, height=200), box(500, 0)]
    assert inside([box(0, 0), box(90, 30), box(120, 60), box(300, 90), box(500, 0)], zones) == [0, 1, 4]


def test_text_is_compared_line_by_line_whatever_the_order() -> None:
    marked, written = [box(0, 0), box(0, 40)], ["one two", "three"]
    right = text_errors([box(0, 40), box(0, 0)], ["three", "one two"], marked, written)
    assert (right.edits, right.characters) == (0, 12)
    halves = text_errors([box(55, 0, 44), box(0, 0, 44), box(0, 40)], ["two", "one", "three"], marked, written)
    assert halves.edits == 0
    missed = text_errors([box(0, 0)], ["one two"], marked, written)
    assert (missed.edits, missed.characters) == (5, 12)
    made_up = text_errors([box(0, 0), box(0, 40), box(0, 300)], ["one two", "three", "xy"], marked, written)
    assert (made_up.edits, made_up.characters) == (2, 12)

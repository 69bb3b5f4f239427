"""A rule: what should hold of a lines dataset, which expectation decides it, and what to do when it does not."""

from dataclasses import dataclass
from typing import Any

from components.validate.expectations import Expected, Where


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One promise about the dataset, held by one or two expectations."""

    name: str
    promise: str
    complaint: str
    """Goes on from "3 of 500 lines"; a whole sentence where it says ``{observed}``."""
    detail: str = ""
    """What is wrong with one line; names columns of the table in braces."""
    remedy: str
    error: Expected | None = None
    """Not met: nothing may be trained on the dataset."""
    warning: Expected | None = None
    """Not met: people should know."""

    def __post_init__(self) -> None:
        if self.error is None and self.warning is None:
            raise ValueError(f"rule {self.name!r} expects nothing")


def expected(kind: str, where: Where | None = None, **arguments: Any) -> Expected:
    """Return an expectation of a Great Expectations class, for all rows or for those that meet a query."""
    return Expected(kind=kind, arguments=arguments, where=where)


def in_set(column: str, *values: object, where: Where | None = None, mostly: float = 1.0) -> Expected:
    """Return the expectation that a column holds nothing but these values."""
    chosen = list(values)
    return expected("ExpectColumnValuesToBeInSet", where, column=column, value_set=chosen, **_share(mostly))


def between(
    column: str, *, least: float | None = None, most: float | None = None, where: Where | None = None
) -> Expected:
    """Return the expectation that a column's numbers lie within bounds."""
    return expected("ExpectColumnValuesToBeBetween", where, column=column, **_bounds(least, most))


def lengths(column: str, *, least: int | None = None, most: int | None = None, mostly: float = 1.0) -> Expected:
    """Return the expectation that a column's texts have a length within bounds."""
    return expected("ExpectColumnValueLengthsToBeBetween", column=column, **_bounds(least, most), **_share(mostly))


def _bounds(least: float | None, most: float | None) -> dict[str, Any]:
    return {name: value for name, value in (("min_value", least), ("max_value", most)) if value is not None}


def _share(mostly: float) -> dict[str, Any]:
    return {"mostly": mostly} if mostly < 1 else {}

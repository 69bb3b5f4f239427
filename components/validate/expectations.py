"""Great Expectations: expectations about a table in, what was found out. The one module that imports it.

The context lives in memory, is told to send nothing anywhere, and is made anew for every table.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """One expectation: its Great Expectations class and arguments."""

    kind: str
    """Class name, such as ``ExpectColumnValuesToBeUnique``."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    where: "Where | None" = None
    """Only the rows that meet it are looked at; None for all."""

    def __str__(self) -> str:
        columns = [str(v) for k, v in self.arguments.items() if k.startswith("column")]
        others = [f"{k}={v!a}" for k, v in self.arguments.items() if not k.startswith("column")]
        condition = [f"where {self.where.column} {self.where.operator} {self.where.value!r}"] if self.where else []
        return f"{self.kind}({', '.join(columns + others + condition)})"


@dataclass(frozen=True, slots=True)
class Where:
    """The rows of a table whose column holds a value, or does not hold it."""

    column: str
    operator: Literal["==", "!="]
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What Great Expectations said of one expectation."""

    success: bool
    num_judged: int
    """Rows that were looked at; 0 for an expectation about the table as a whole."""
    rows: list[int]
    """Index of each row that is not as expected, ascending."""
    observed: float | None
    """The figure that an expectation about the table as a whole was held against."""


def expect(table: "pd.DataFrame", expected: Sequence[Expected]) -> list[Found]:
    """Hold a table against expectations.

    Args:
        table: its index must be unique; rows are named by it.
        expected: what should hold.

    Returns:
        One Found an expectation, in the same order.

    Raises:
        RuntimeError: an expectation could not be evaluated at all, which is a fault of ours.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the library is imported
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    suite = gx.ExpectationSuite(name="suite")
    for number, one in enumerate(expected):
        kind = getattr(gx.expectations, one.kind)
        suite.add_expectation(kind(**one.arguments, row_condition=_condition(one.where), meta={"number": number}))
    found: dict[int, Found] = {}
    # Results come in an order of their own; the number says which expectation one belongs to.
    for result in batch.validate(suite, result_format={"result_format": "COMPLETE"}).results:
        number = _number(result)
        if result.exception_info.get("raised_exception") or (not result.result and not result.success):
            raise RuntimeError(f"{expected[number]} could not be evaluated: {result.exception_info}")
        observed = result.result.get("observed_value")
        found[number] = Found(
            success=bool(result.success),
            num_judged=int(result.result.get("element_count", 0)),
            rows=sorted(int(row) for row in result.result.get("unexpected_index_list") or ()),
            observed=None if observed is None else float(observed),
        )
    return [found[number] for number in range(len(expected))]


def _condition(where: Where | None) -> Any:
    from great_expectations.expectations.row_conditions import Column

    if where is None:
        return None
    column = Column(where.column)
    return column == where.value if where.operator == "==" else column != where.value


def _number(result: Any) -> int:
    return int(result.expectation_config.meta["number"])

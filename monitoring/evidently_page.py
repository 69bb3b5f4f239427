"""Evidently's report on reference and window: the page that people look at. The alarm does not rest on it."""

import warnings
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

MAX_DRAWN = 10_000
"""Rows of each side; of more, every so-manieth is drawn."""


def draw_page(
    before: Mapping[str, npt.NDArray[np.floating]],
    now: Mapping[str, npt.NDArray[np.floating]],
    threshold: float,
    *,
    drifted: bool,
) -> str:
    """Return the page.

    Args:
        before: columns of the reference.
        now: the same columns of the window.
        threshold: p-value of the Kolmogorov-Smirnov test at which the page calls a column drifted.
        drifted: the verdict, which the page's headline is to repeat: it would count columns instead.
    """
    with warnings.catch_warnings():  # its import deprecates, and a constant column divides by zero in its summary
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        share = 0.0 if drifted else 1.01  # of the columns: any or none of them is drift, or not even all
        preset = DataDriftPreset(num_method="ks", num_threshold=threshold, drift_share=share)
        kinds = DataDefinition(numerical_columns=list(before))
        current, reference = (
            Dataset.from_pandas(pd.DataFrame(_thinned(columns)), data_definition=kinds)
            for columns in (now, before)
        )
        return str(Report([preset], include_tests=True).run(current, reference).get_html_str(as_iframe=False))


def _thinned(columns: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, npt.NDArray[np.floating]]:
    every = -(-max(len(values) for values in columns.values()) // MAX_DRAWN)
    return {name: values[:: max(1, every)] for name, values in columns.items()}

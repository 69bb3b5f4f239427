"""What came of all trials: the best settings, a table, a page, and the end of the search's MLflow run."""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components import tracking
from components.page import render, write_page
from components.progress import say
from htr.errors import DataError
from htr.search.plots import PLOTS, write_plots
from htr.search.results import BEST, TABLE, write_tables
from htr.search.space import SPACE
from htr.search.trial import Trial, best_of
from htr.settings import flat

_TEMPLATE = Path(__file__).with_name("page.html")
_PAGE = "search.html"


def collect_trials(
    results: Sequence[Mapping[str, Any]], *, run_id: str, tracking_uri: str, best: Path, table: Path, page: Path
) -> float:
    """Pick the best trial, and tell MLflow and people of all.

    Args:
        results: trials, as `Trial.to_dict` gives them.
        run_id: MLflow run of the search; it ends here.
        tracking_uri: MLflow's; "" takes the environment's.
        best: file for the settings of the best trial, JSON.
        table: file for all trials, CSV.
        page: file for the page, HTML.

    Returns:
        CER of the best trial on the validation lines, as a fraction.

    Raises:
        DataError: no trial came to its end.
    """
    trials = sorted((Trial.from_dict(result) for result in results), key=lambda trial: trial.number)
    with tempfile.TemporaryDirectory() as name, tracking.service(tracking_uri) as client:
        folder = Path(name)
        write_tables(trials, folder)
        try:
            winner = best_of(trials)
        except DataError:
            tracking.end_run(client, run_id, failed=True)
            raise
        with tracking.tracked_run(run_id):
            log_search(trials, folder)
        for kept, path in ((BEST, best), (TABLE, table), (_PAGE, page)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((folder / kept).read_bytes())
    assert winner.cer is not None  # noqa: S101 - a complete trial has one
    say(f"search: best of {len(trials)} is trial {winner.number}, validation CER {winner.cer:.1%}")
    return winner.cer


def log_search(trials: Sequence[Trial], folder: Path) -> None:
    """Write plots and page beside the tables in a folder; log all, and the best settings, to the active run."""
    best = best_of(trials)
    searched = [dimension for dimension in SPACE if dimension.name in best.sampled]
    plots = write_plots(trials, searched, folder / "plots")
    write_page(folder / _PAGE, search_page(trials, best, plots))
    tracking.log_metrics({"best_val_cer": best.cer or 0.0, "trials": float(len(trials))})
    # Tags, not parameters, which never change: a search that is continued may find better ones.
    settings = {f"best_{name}": str(value) for name, value in flat(best.settings).items()}
    tracking.set_tags({"best_trial": str(best.number), **settings})
    for name in (BEST, TABLE, _PAGE):
        tracking.log_file(folder / name, "search")
    for path in plots:
        tracking.log_file(path, "search/plots")


def search_page(trials: Sequence[Trial], best: Trial, plots: Sequence[Path]) -> str:
    """Return the page as one self-contained HTML text."""
    pictures = [
        (PLOTS[path.stem], f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}")
        for path in plots
    ]
    order = sorted(trials, key=lambda trial: (trial.cer is None, trial.cer or 0.0, trial.number))
    return render("Search", _TEMPLATE, trials=order, best=best, pictures=pictures, names=list(best.sampled))

"""A lines dataset in, a champion that never saw one of its hands out; made once, and kept."""

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.closed_loop.settings import Settings
from htr.errors import DataError
from htr.lines import LinesDataset
from pipelines.arrival import set_aside
from pipelines.local import default_tracking_uri, run_shown
from pipelines.loop import FIRST_CEILING
from pipelines.summary import Screen


def first_model(
    lines: LinesDataset, root: Path, settings: Settings, *, git_commit: str, screen: Screen
) -> dict[str, Any]:
    """Set the hand aside and train without it, unless that was done before; return what the training came to.

    Args:
        lines: all of them.
        root: where lines, model and registry are kept.
        settings: what is set aside, and how to train.
        git_commit: noted in the model.
        screen: shows how far it is.

    Raises:
        DataError: the folder holds another story, or the lines cannot be parted so.
        PipelineError: the training failed.
    """
    base, arriving, done = (
        root / "data" / "base",
        root / "data" / "arriving",
        root / "pipeline.json",
    )
    about = {"lines": lines.digest, "hand": settings.hand, "seed": settings.seed}
    about |= {"budget": settings.budget, "settings": dict(settings.base_settings)}
    told = root / "about.json"
    if told.is_file() and json.loads(told.read_text(encoding="utf-8")) != about:
        raise DataError(f"{told}: another story was begun there; choose another --root, or remove that one")
    root.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps(about, indent=2), encoding="utf-8")
    if not base.is_dir() or not arriving.is_dir():
        shutil.rmtree(root / "data", ignore_errors=True)  # half of it, after a kill
        set_aside(lines, base, arriving, source=settings.hand)
    if done.is_file():
        screen.step(f"The first training is there: {done}")
        outcome: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return outcome
    screen.step(f"Training on {len(LinesDataset.open(base)):,} lines, none of {settings.hand!r}")
    arguments = {
        "lines": str(base.resolve()),
        "tracking_uri": default_tracking_uri(root),
        "work": str(root.resolve() / "checkpoints"),
        "start": "",  # the model that ships may have seen the hand
        "settings": {
            **settings.base_settings,
            "max_lines": settings.budget,
            "seed": settings.seed,
        },
        "cer_ceiling": FIRST_CEILING,
        "git_commit": git_commit,
    }
    return run_shown(arguments, root, show=screen.note)

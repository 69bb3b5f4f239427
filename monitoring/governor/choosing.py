"""Which readings people are asked to correct: the prediction log in, names of lines out.

The unsure and unlike ones, and a sample that what was read there had no part in (`htr.choosing`): only the sample
may judge a model later, so each line says why it was chosen, as a correction of it should.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from htr.choosing import choose
from htr.corrected_lines import CorrectedLines
from htr.labelling import RequestedLine
from htr.prediction_log import read_log
from htr.profile import SCHEMA
from monitoring.governor.labelling import sound_requests
from monitoring.verdict import read_verdict

CONTROL_SHARE = 0.25
CHOSEN_BY = {"uncertain": "reading", "control": "sample"}
"""Why a line was chosen -> the ``chosen_by`` of its correction."""
MOST_READINGS = 20_000


@dataclass(frozen=True, kw_only=True)
class LogChooser:
    """Chooses from the champion's newest readings; where there is a verdict about it, from those it looked at."""

    log: Path
    verdict: Path | None = None
    seed: int = 0
    corrections: CorrectedLines | None = None
    """What was corrected already is left out, whatever came of it."""
    state: Path | None = None
    """The governor's: what an earlier request named is left out, too."""

    def __call__(self, champion: str, wanted: int) -> list[RequestedLine]:
        """Return at most so many lines.

        Args:
            champion: digest of the model whose readings are meant; "" for all.
            wanted: how many.

        Raises:
            DataError: log or verdict is missing or damaged; or the store is.
        """
        since, until = self._window(champion)
        table = read_log(self.log, since=since, bundle_digest=champion or None, newest=MOST_READINGS)
        rows = table.to_pydict()
        places = list(zip(rows["request_id"], rows["position"], strict=True))
        # Clients choose request ids, and may use one twice: of a name, the newest reading counts.
        newest = {places[at]: at for at, time in enumerate(rows["time"]) if until is None or time <= until}
        known = self._known(newest)
        keep = sorted(at for place, at in newest.items() if place not in known)
        vectors = np.nan_to_num(np.array([rows[name] for name in SCHEMA.names], np.float64).T[keep])
        chosen = choose(
            [min(1.0, max(0.0, rows["confidence"][at])) for at in keep],
            vectors.reshape(len(keep), len(SCHEMA.names)),
            count=min(wanted, len(keep)),
            control_share=CONTROL_SHARE,
            seed=self.seed,
            names=[f"{places[at][0]}/{places[at][1]}" for at in keep],
        )
        return [
            RequestedLine(
                request_id=rows["request_id"][keep[one.index]],
                position=rows["position"][keep[one.index]],
                why=one.why,
                chosen_by=CHOSEN_BY[one.why],
            )
            for one in chosen
        ]

    def _known(self, places: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return those of some lines, by request and position, that people have looked at or were asked to."""
        known: set[tuple[str, int]] = set()
        if self.corrections is not None:
            known |= self.corrections.known(places)
        if self.state is not None:
            for request in sound_requests(self.state):
                known |= {line.place for line in request.lines}
        return known

    def _window(self, champion: str) -> tuple[datetime | None, datetime | None]:
        if self.verdict is None or not self.verdict.exists():
            return None, None
        verdict = read_verdict(self.verdict)
        if champion and verdict["bundle_digest"] != champion:
            return None, None  # it is about another model's readings
        since, until = (
            datetime.fromisoformat(at) if (at := verdict[name]) else None for name in ("since", "until")
        )
        return since, until

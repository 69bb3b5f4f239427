"""The policy: a verdict, corrections and a history in, a decision and its reason out. It touches nothing.

    quiet, or too few readings, or about another model than the champion   -> ignore
    drift, but fewer corrections than asked for                            -> ask_for_labels
    drift and corrections that no training was started for yet             -> train

What a training is for is its key: champion and corrections. One key trains once. A training is repeated only when
a person says so, and then whatever came of it: what a cluster accepted may have failed there since.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htr.bundle import short
from monitoring.decisions import Choice, Decision, History


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a decision is made from."""

    verdict: Mapping[str, Any]
    """As in ``drift.json``."""
    champion_digest: str
    corrections_digest: str
    """Content digest of the lines dataset of corrections; "" when there is none yet."""
    num_corrections: int
    min_corrections: int = 50
    cause: str = "drift check"
    """What asks for a decision."""
    again: bool = False
    """A person asks to repeat a training, whatever came of it."""

    @property
    def key(self) -> str:
        """What a training would be for."""
        return hashlib.sha256(f"{self.champion_digest} {self.corrections_digest}".encode()).hexdigest()


def choose(request: Request, history: History, *, in_progress: bool = False) -> tuple[Choice, str]:
    """Decide, and say why. Same request, same history, same answer.

    Args:
        request: what to decide on.
        history: what was decided before.
        in_progress: a training is running now, whatever it is for.
    """
    verdict = request.verdict
    if verdict["state"] == "not_enough":
        return "ignore", f"only {verdict['rows']} readings; {verdict['rows_wanting']} more make a verdict"
    if verdict["state"] != "drift":
        return "ignore", f"no drift in {verdict['rows']} readings"
    # After a promotion the old champion's verdict still lies there; it must not have the new champion retrained.
    if verdict["bundle_digest"] != request.champion_digest:
        about = short(verdict["bundle_digest"]) or "no model in particular"
        champion = short(request.champion_digest)
        return "ignore", f"the verdict is about {about}, the champion is {champion}; check again"
    if request.num_corrections < request.min_corrections:
        found, wanted = request.num_corrections, request.min_corrections
        return "ask_for_labels", f"drift, but {found} corrected lines of {wanted}; correct {wanted - found} more"
    if in_progress:
        return "ignore", "a training is in progress; ask again when it has ended"
    last = history.last_training(request.key)
    if last is None:
        return "train", f"drift, and {request.num_corrections} corrected lines that this champion has not seen"
    fate = {
        "done": f"ended well, run {last.run_id}",
        "submitted": f"was submitted as run {last.run_id}",
        "failed": f"failed ({last.reason})",
    }.get(last.outcome, "started and never ended")
    if request.again:
        return "train", f"the training of {_when(last)} {fate}; repeated on request"
    if last.outcome == "done":
        return "ignore", f"these corrections were trained on already, {_when(last)}, run {last.run_id}"
    if last.outcome == "submitted":
        return "ignore", (
            f"a training on these corrections was submitted already, {_when(last)}, as run {last.run_id}; "
            "if it failed on the cluster, repeat it with --again"
        )
    return "ignore", (
        f"the training of {_when(last)} {fate}; see whether its run is still there, then repeat it with --again"
    )


def remarks(request: Request, history: History) -> str:
    """Report what kills left in the history, except what the decision itself is about."""
    found = [
        f"the training of {_when(left)}, for other corrections or another champion, never ended; "
        "see whether its run is still there"
        for left in history.unfinished()
        if left.key != request.key
    ]
    if history.skipped:
        found.append(f"skipped half-written lines of the log: {', '.join(map(str, history.skipped))}")
    return "".join(f" ({remark})" for remark in found)


def _when(decision: Decision) -> str:
    return f"{decision.time:%Y-%m-%d %H:%M:%S %Z}"

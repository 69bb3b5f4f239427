"""A verdict in a few lines, for a terminal."""

from collections.abc import Callable
from pathlib import Path

from monitoring.error_rate import EstimatedError, MeasuredError
from monitoring.verdict import EMBEDDING_NAME, PAGE, VERDICT, FeatureDrift, Verdict


def print_verdict(verdict: Verdict, out: Path, say: Callable[[str], None]) -> None:
    """Say what a check came to.

    Args:
        verdict: to be told.
        out: where its files lie.
        say: prints one line.
    """
    rows = f"{verdict.rows} readings against {verdict.reference_rows} of the reference"
    if verdict.state == "not_enough":
        few = f" in {verdict.groups} requests" if verdict.shuffled == "groups" else ""
        say(f"not enough: {rows}{few}; {verdict.rows_wanting} more make a verdict. {out / VERDICT}")
    else:
        number = f"{len(verdict.drifted)} of {len(verdict.features)} features drifted"
        chance = f"p {verdict.p_value:.2g}, alpha {verdict.alpha:g}"
        say(f"{verdict.state}: {number}, {rows}, {chance}. {out / VERDICT}, {out / PAGE}")
    for feature in verdict.drifted:
        say(f"  {_line(feature)}")
    for feature in verdict.as_sent:
        if feature.drifted:
            say(f"  {_line(feature)}  as sent; scaled away, no alarm")
    if verdict.state == "drift":
        say(f"  since: {verdict.changed_since or 'the whole window'}")
    for example in verdict.examples:
        say(f"  for example: request {example.request_id}, image {example.position} ({example.feature})")
    if verdict.estimated:
        say(_estimated(verdict.estimated))
    if verdict.measured:
        say(_measured(verdict.measured))
    if verdict.alert:
        alert = verdict.alert
        say(
            f"{'ALERT' if alert.raised else 'no alert'}: {alert.drifted_windows} of the last {alert.windows} "
            f"windows drifted (alert: {alert.needed} of {alert.of}, the latest among them)"
        )


def _line(feature: FeatureDrift) -> str:
    medians = f"{feature.reference_median:.4g} -> {feature.current_median:.4g}"
    what = "distance from the middle" if feature.name == EMBEDDING_NAME else "median"
    return f"{feature.name:<22} shift {feature.shift:+.2f}  {what} {medians}  {feature.direction}"


def _estimated(found: EstimatedError) -> str:
    if found.cannot_tell:
        return f"estimated CER: cannot tell, since {found.cannot_tell}"
    low, high = found.interval
    change = "harmless" if found.harmless else "worse than then"
    return (
        f"estimated CER {found.cer:.1%} [{low:.1%}, {high:.1%}], by the same estimate {found.reference_cer:.1%} "
        f"at evaluation: {change}"
    )


def _measured(found: MeasuredError) -> str:
    low, high = found.interval
    return f"measured CER {found.cer:.1%} [{low:.1%}, {high:.1%}] on {found.lines} lines drawn at random"

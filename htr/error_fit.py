"""Held-out lines, plain and spoilt, read by a model -> the error model that goes into its bundle.

Nobody can measure the error rate of tomorrow's lines. What can be measured is how rate and profile hang together
on lines that are read well and badly: the held-out lines, and the same lines blurred, faded, turned and so on. How
far the estimate is off is measured on kinds that a trial fit did not see: each source of lines, and each kind of
spoiling.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from htr.corruptions import CORRUPTIONS
from htr.error_model import CEILING, TRANSFORMS, Case, ErrorModel, Term, log_odds, weighted
from htr.errors import ImageError
from htr.evaluate import ReadLine
from htr.image import Decoded, decode
from htr.lines import LinesDataset
from htr.metrics import count_errors
from htr.profile import Profile
from htr.recogniser import Recogniser

STRENGTHS = (1.0, 2.0, 3.0)
LEAST_LINES = 30
"""Of plain lines altogether, and of a source that is a case of its own."""
_PENALTY = 0.1
"""On squared slopes, in lines; chosen on the shared lot, where a tenth and five times of it did as well."""
_UNKNOWN_SPREAD = 1.0
"""Of the log-odds, where nothing could be left out and tried: an interval that promises next to nothing."""
_FOLDS = 5
_STEPS = 30

Floats = npt.NDArray[np.float64]


@dataclass(kw_only=True, slots=True)
class Readings:
    """Rows to fit on, column by column."""

    profiles: list[Profile] = field(default_factory=list)
    edits: list[int] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """"" for a plain line, or the name of a corruption."""
    strengths: list[float] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)

    def add(self, line: ReadLine, measured: Profile, edits: int, kind: str = "", strength: float = 0.0) -> None:
        """Add one reading of a line."""
        self.profiles.append(measured)
        self.edits.append(edits)
        self.characters.append(line.errors.characters)
        self.kinds.append(kind)
        self.strengths.append(strength)
        self.sources.append(line.source)
        self.writers.append(line.writer or line.id)


def fit_error_model(
    recogniser: Recogniser,
    dataset: LinesDataset,
    lines: Sequence[ReadLine],
    *,
    num_spoilt: int,
    seed: int = 0,
    on_line: Callable[[int], None] = lambda _: None,
) -> ErrorModel | None:
    """Fit an error model.

    Args:
        recogniser: the model that read the lines, as it serves.
        dataset: holds their images.
        lines: read lines that training did not see.
        num_spoilt: spoilt lines to read, all kinds and strengths together.
        seed: of their choice.
        on_line: called with the number of spoilt lines read so far.

    Returns:
        None where there are fewer than LEAST_LINES readable lines with text.
    """
    plain = [line for line in lines if line.profile is not None and line.errors.characters]
    if len(plain) < LEAST_LINES:
        return None
    readings = Readings()
    for line in plain:
        assert line.profile is not None  # noqa: S101 - chosen so
        readings.add(line, line.profile, line.errors.edits)
    for number, (line, kind, strength, measured, text) in enumerate(
        _spoilt(recogniser, dataset, plain, num_spoilt, seed), start=1
    ):
        readings.add(line, measured, count_errors(line.truth, text).edits, kind, strength)
        on_line(number)
    return fit_readings(readings)


def fit_readings(readings: Readings) -> ErrorModel:
    """Fit on readings that are there already; see `fit_error_model`."""
    columns = {
        name: np.array([getattr(p, name) for p in readings.profiles]) for name in (*TRANSFORMS, "num_characters")
    }
    edits, characters = np.array(readings.edits, float), np.array(readings.characters, float)
    cases = []
    for name, fitted, tried in _trials(readings):
        trial = _fit({n: c[fitted] for n, c in columns.items()}, edits[fitted], characters[fitted])
        asked = {n: c[tried] for n, c in columns.items()}
        measured = float(edits[tried].sum() / characters[tried].sum())
        cases.append(
            Case(
                name=name, lines=int(tried.sum()), estimated=weighted(trial.rates(asked), asked), measured=measured
            )
        )
    off = [log_odds(case.estimated) - log_odds(case.measured) for case in cases]
    final = _fit(columns, edits, characters)
    spread = float(np.sqrt(np.mean(np.square(off)))) if off else _UNKNOWN_SPREAD
    return ErrorModel(
        offset=final.offset, terms=final.terms, spread=spread, cases=tuple(cases), fitted_rows=len(edits)
    )


def _spoilt(
    recogniser: Recogniser, dataset: LinesDataset, plain: Sequence[ReadLine], num: int, seed: int
) -> Iterator[tuple[ReadLine, str, float, Profile, str]]:
    """Read spoilt lines: every kind and strength as often as any other."""
    rng = np.random.default_rng(seed)
    cells = [(kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    wanted: dict[str, list[tuple[str, float]]] = {}
    for kind, strength in cells:
        for at in rng.permutation(len(plain))[: num // len(cells)]:
            wanted.setdefault(plain[at].id, []).append((kind, strength))
    known = {line.id: line for line in plain}
    for stored in dataset.lines():
        for kind, strength in wanted.get(stored.id, ()):
            own = np.random.default_rng(zlib.crc32(f"{stored.id} {kind} {strength} {seed}".encode()))
            try:
                (seen,) = recogniser.observe_decoded(
                    [Decoded(grey=CORRUPTIONS[kind](decode(stored.image), strength, own))]
                )
            except ImageError:  # too small by now to be a line
                continue
            yield known[stored.id], kind, strength, seen.profile, seen.reading.text


def _trials(readings: Readings) -> Iterator[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Yield (name, rows to fit on, rows to try on): what is tried is of a kind that the fit does not see."""
    kinds, strengths = np.array(readings.kinds), np.array(readings.strengths)
    sources, writers = np.array(readings.sources), np.array(readings.writers)
    plain = kinds == ""
    names, counts = np.unique(sources[plain], return_counts=True)
    large = names[counts >= LEAST_LINES]
    if len(names) > 1:
        for source in large:
            yield f"source {source}", sources != source, plain & (sources == source)
    else:
        fold = np.array([zlib.crc32(str(writer).encode()) % _FOLDS for writer in writers])
        for number in np.unique(fold[plain]):
            if len(np.unique(fold[plain])) > 1:
                yield f"writers {number + 1} of {_FOLDS}", fold != number, plain & (fold == number)
    half = np.array([zlib.crc32(str(writer).encode()) // _FOLDS % 2 for writer in writers])
    for kind in CORRUPTIONS:
        for strength in STRENGTHS:
            tried = (kinds == kind) & (strengths == strength) & (half == 1)
            fitted = (kinds != kind) & (half == 0)
            if tried.any() and fitted.sum() >= LEAST_LINES:
                yield f"{kind} {strength:g}", fitted, tried


def _fit(columns: Mapping[str, Floats], edits: Floats, characters: Floats) -> ErrorModel:
    """Fit the curve by iteratively reweighted least squares, each line weighed by its characters."""
    bent = {name: np.asarray(bend(columns[name]), np.float64) for name, bend in TRANSFORMS.items()}
    total = characters.sum()
    frames, parts = [], [np.ones(len(edits))]
    for name, values in bent.items():
        lowest, highest = np.percentile(values, (1, 99))
        clipped = np.clip(values, lowest, highest)
        mean, scale = float(clipped @ characters / total), float(clipped.std())
        if scale < 1e-9:  # such as the surprise of a model without a language model
            continue
        standard = (clipped - mean) / scale
        frames.append((name, float(lowest), float(highest), mean, scale))
        parts += [standard, standard**2 - 1]
    design = np.stack(parts, axis=1)
    share = np.minimum(edits / np.maximum(characters, 1) / CEILING, 1.0)
    penalty = _PENALTY * characters.mean() * np.eye(design.shape[1])
    penalty[0, 0] = 0
    weights = np.zeros(design.shape[1])
    weights[0] = log_odds(float(edits.sum() / total))
    weights = _maximise(weights, design, share, characters, penalty)
    terms = tuple(
        Term(
            feature=name, lowest=lowest, highest=highest, mean=mean, scale=scale,
            slope=float(weights[1 + 2 * at]), curve=float(weights[2 + 2 * at]),
        )
        for at, (name, lowest, highest, mean, scale) in enumerate(frames)
    )  # fmt: skip
    return ErrorModel(offset=float(weights[0]), terms=terms, spread=0.0, cases=(), fitted_rows=len(edits))


def _maximise(weights: Floats, design: Floats, share: Floats, characters: Floats, penalty: Floats) -> Floats:
    """Return the weights of the largest penalised likelihood, by Newton's method.

    A step that makes it less likely is halved: where nearly every line is read without error, a whole one leads
    from almost no curvature to none, and from there anywhere.
    """

    def likelihood(tried: Floats) -> float:
        odds = design @ tried
        logs = share * np.logaddexp(0, -odds) + (1 - share) * np.logaddexp(0, odds)
        return float(-(characters @ logs) - tried @ penalty @ tried / 2)

    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        curvature = characters * expected * (1 - expected) + 1e-9
        slope = design.T @ (characters * (share - expected)) - penalty @ weights
        step = np.linalg.solve(design.T @ (design * curvature[:, None]) + penalty, slope)
        now = likelihood(weights)
        while likelihood(weights + step) < now and np.abs(step).max() > 1e-9:
            step = step / 2
        weights = weights + step
    return weights

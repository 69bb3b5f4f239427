"""Profile rows: a few numbers about one line image and its reading, which drift detection compares.

The same code makes them at evaluation (the bundle's ``reference.parquet``) and at serving (the prediction log).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from htr.ctc import BestPath, Scores
from htr.levels import Levels
from htr.ngram import NGram
from htr.profile_image import measure_image
from htr.profile_text import measure_scores, measure_text

PROFILE_VERSION = 2
EMBEDDING_SIZE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What the network was shown, and what it made of it. H, W pixels; T time steps; K classes; D numbers."""

    width: int
    """Pixels, as sent."""
    height: int
    """Pixels, as sent."""
    levels: Levels
    line_HW: npt.NDArray[np.float32]
    """The line tensor, without the paper added on its right."""
    log_probs_TK: Scores
    embedding_D: npt.NDArray[np.float32] | None
    """What the encoder makes of the whole line; None from graphs older than that output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Statistics of one image and its reading. Shares and probabilities are 0..1, logarithms natural."""

    width: float
    """Pixels, as sent."""
    height: float
    """Pixels, as sent."""
    paper_level: float
    """Grey level, 0..255, as sent."""
    contrast: float
    """Grey levels between the 5th and the 95th percentile, as sent."""
    polarity: float
    """1 for light writing on dark paper, else 0."""
    aspect: float
    """Width over height; this and the next nine are measured on what the network is shown (0 paper, 1 ink)."""
    ink_share: float
    """Share of pixels nearer to ink than to paper."""
    background: float
    """How grey the other pixels are on average."""
    unevenness: float
    """Standard deviation of that between strips of the line."""
    noise: float
    """Mean difference between neighbouring paper pixels."""
    sharpness: float
    """Steepness of edges: the mean horizontal step, each weighted by itself."""
    slant: float
    """Balance of strokes that lean right (above 0) and left (below), -1..1; 0 is upright."""
    stroke_width: float
    """Mean horizontal run of ink, over the height."""
    skew: float
    """How steeply the line climbs, pixels a pixel; below 0 where it falls."""
    ink_spread: float
    """Standard deviation of the ink's height around its middle, over the height of the line."""
    mean_log_prob: float
    """Mean log-probability of the best class a step, at most 0."""
    mean_char_prob: float
    """Mean probability of the characters on the best path; 1 where nothing was read."""
    min_char_prob: float
    """Probability of the least certain character; 1 where nothing was read."""
    entropy: float
    """Mean entropy of the class scores a step, in nats."""
    blank_share: float
    """Share of steps whose best class is the blank."""
    path_margin: float
    """By how much the best path is more probable than the second best; a difference of logarithms."""
    text_log_prob: float
    """Log-probability of the reading over all its alignments, a character; at most 0."""
    beam_margin: float
    """Log of the reading's share among the texts that the beam search kept, at most 0; 0 without a search."""
    num_characters: float
    """Characters on the best path; the next seven are about that text too."""
    characters_per_height: float
    """Characters over the aspect: how densely the hand writes."""
    digit_share: float
    capital_share: float
    space_share: float
    mark_share: float
    """Share of characters that are no letter, digit or space."""
    accent_share: float
    """Share of letters beyond ASCII."""
    surprise: float
    """Nats a character under the bundle's language model; 0 without one, and for an empty text."""
    empty: float
    """1 where nothing was read, else 0."""
    embedding: tuple[float, ...]
    """EMBEDDING_SIZE numbers that the network gives for the line; zeros from a graph that gives none."""

    def __post_init__(self) -> None:
        if len(self.embedding) != EMBEDDING_SIZE:
            raise ValueError(f"Profile.embedding must hold {EMBEDDING_SIZE} numbers, got {len(self.embedding)}")

    def row(self) -> dict[str, float]:
        """Return the profile as the columns of SCHEMA."""
        scalars = {name: getattr(self, name) for name in FEATURES}
        return {**scalars, **dict(zip(EMBEDDING, self.embedding, strict=True))}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Profile":
        """Rebuild a profile from its columns."""
        return cls(**{name: row[name] for name in FEATURES}, embedding=tuple(row[name] for name in EMBEDDING))


FEATURES = tuple(f.name for f in fields(Profile) if f.name != "embedding")
EMBEDDING = tuple(f"embedding_{number:02}" for number in range(EMBEDDING_SIZE))
AS_SENT = FEATURES[: FEATURES.index("aspect")]
"""Features that scaling and stretching take away before the network sees the line."""
SCHEMA = pa.schema(
    [pa.field(name, pa.float32(), nullable=False) for name in (*FEATURES, *EMBEDDING)],
    metadata={"profile_version": str(PROFILE_VERSION)},
)
REFERENCE_SCHEMA = SCHEMA.append(pa.field("group", pa.int32(), nullable=False))
"""Of a reference profile: rows of one page or writer share a group."""


def profile(
    sight: Sight,
    path: BestPath,
    text: str,
    *,
    text_log_prob: float,
    search_log_prob: float | None,
    ngram: NGram | None,
) -> Profile:
    """Measure one line.

    Args:
        sight: what the network was shown, and its answer.
        path: the best path through its scores.
        text: what the best path reads, normalised.
        text_log_prob: log-probability of the reading over all its alignments, as `Reading.log_prob`.
        search_log_prob: as `Reading.search_log_prob`.
        ngram: the bundle's language model, where it has one.
    """
    image = measure_image(sight.line_HW)
    written = measure_text(text, ngram)
    embedding = np.zeros(EMBEDDING_SIZE) if sight.embedding_D is None else sight.embedding_D
    return Profile(
        width=sight.width,
        height=sight.height,
        paper_level=sight.levels.paper,
        contrast=sight.levels.contrast,
        polarity=float(sight.levels.light_on_dark),
        **image,
        **measure_scores(sight.log_probs_TK, path),
        text_log_prob=max(text_log_prob, _LEAST_LOG_PROB) / (len(text) + 1),
        beam_margin=search_log_prob or 0.0,
        characters_per_height=written["num_characters"] / image["aspect"],
        **written,
        embedding=tuple(embedding.tolist()),
    )


_LEAST_LOG_PROB = -1e4
"""A text that does not fit into the steps has minus infinity, which is no number to compare."""

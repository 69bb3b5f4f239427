"""The recogniser: encoded line images in, readings out. The only inference path in the project.

Every line is read by itself, at its own width: what else is asked for at the same time cannot change a reading.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort

from htr.alignment import Character, locate
from htr.alphabet import normalise
from htr.beam import BeamSearch, Hypothesis
from htr.bundle import INT8, ONNX, Bundle
from htr.ctc import BestPath, Scores, best_path
from htr.decoding import LEXICON, MAX_BEAM, NGRAM, Decoding
from htr.errors import BundleError
from htr.image import Decoded, Grey, decode, decode_first, line_tensor, scaled_width
from htr.lexicon import Lexicon
from htr.likelihood import text_log_prob
from htr.ngram import NGram
from htr.profile import Profile, profile
from htr.verdicts import Verdict, judge


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """One of the texts that a line may hold."""

    text: str
    log_prob: float
    """Natural log-probability of the text by the network alone, over the paths that were followed; at most 0."""
    score: float
    """What the search orders by: ``log_prob`` plus language model, bonus and penalties, where there are any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the recogniser read on one line."""

    text: str
    confidence: float
    """Calibrated probability that the whole line is right, from 0 to 1."""
    log_prob: float = 0.0
    """Log-probability of the text over all its alignments, at most 0, by the network alone, whatever read it: what
    the confidence is computed from."""
    search_log_prob: float | None = None
    """Log of the reading's share of the scores of all texts that the beam search kept, at most 0; None without a
    search."""
    characters: tuple[Character, ...] | None = None
    """One a code point of ``text``, in order; None where they were not asked for."""
    alternatives: tuple[Alternative, ...] = ()
    """The reading itself, then the others, the best first; empty where none were asked for."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"Reading.confidence must be within 0..1, got {self.confidence!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A reading with the profile row that drift detection wants."""

    reading: Reading
    profile: Profile
    verdicts: tuple[Verdict, ...] = (Verdict.OK,)
    """What is to be said about the image; never empty."""


class Recogniser:
    """A loaded model. Safe to use from several threads at once.

    Args:
        bundle: an opened bundle; its files were checked against their digests.
        num_threads: processor threads for one line.
        precision: ``fp32``, ``int8``, or ``auto``: int8 where the bundle's certificate says that it reads as well.

    Raises:
        BundleError: the graph cannot be loaded.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 1, precision: str = "auto") -> None:
        self.bundle = bundle
        small = precision == "int8" or (precision == "auto" and INT8 in bundle.files and bundle.parity.trusted)
        graph = bundle.path / (INT8 if small else ONNX)
        self.digest = bundle.digest
        asked = bundle.decoding.files() if bundle.decoding else ()
        self._ngram = NGram.load(bundle.path / NGRAM) if NGRAM in asked else None
        self._lexicon = Lexicon.load(bundle.path / LEXICON) if LEXICON in asked else None
        self._search = self._beam_search(bundle.decoding or Decoding())
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise BundleError(f"{graph}: cannot be loaded ({error}); fetch the bundle again") from error

    @classmethod
    def load(cls, path: Path | str, *, num_threads: int = 1) -> "Recogniser":
        """Open a bundle folder and load its network.

        Raises:
            BundleError: missing, incomplete, altered, or of another version.
        """
        return cls(Bundle.open(path), num_threads=num_threads)

    def read(self, images: Iterable[bytes], *, characters: bool = False, alternatives: int = 0) -> list[Reading]:
        """Read encoded images, one line each, in order.

        Args:
            images: encoded as in a file.
            characters: also say where each character stands and how sure it is.
            alternatives: how many texts to give at most, the reading included; 0 is none.

        Raises:
            ImageError: an image cannot be decoded.
            ValueError: more alternatives are asked for than a search may keep.
        """
        return self.read_grey((decode(data) for data in images), characters=characters, alternatives=alternatives)

    def read_grey(
        self, images: Iterable[Grey], *, characters: bool = False, alternatives: int = 0
    ) -> list[Reading]:
        """Read lines that are decoded already, such as those cut out of a page.

        Args:
            images: one line each, shape (height, width).
            characters: see `read`.
            alternatives: see `read`.

        Raises:
            ValueError: more alternatives are asked for than a search may keep.
        """
        return [self._read(grey, characters, alternatives)[0] for grey in images]

    def observe(
        self, images: Iterable[bytes], *, characters: bool = False, alternatives: int = 0
    ) -> Iterator[Observation]:
        """Read encoded images and measure them; lazily, so that callers can show progress.

        The profile is that of the best path, also where a beam search reads the text: reference rows stay
        comparable when the decoding is tuned.

        Args:
            images: see `read`.
            characters: see `read`.
            alternatives: see `read`.

        Raises:
            ImageError: an image cannot be decoded.
            ValueError: more alternatives are asked for than a search may keep.
        """
        decoded = (decode_first(data) for data in images)
        return self.observe_decoded(decoded, characters=characters, alternatives=alternatives)

    def observe_decoded(
        self, images: Iterable[Decoded], *, characters: bool = False, alternatives: int = 0
    ) -> Iterator[Observation]:
        """Do what `observe` does with lines that are decoded already, such as those cut out of a page.

        Raises:
            ValueError: more alternatives are asked for than a search may keep.
        """
        for image in images:
            reading, path, log_probs_TK = self._read(image.grey, characters, alternatives)
            plain = normalise(self.bundle.alphabet.decode(path.class_ids))
            measured = profile(image.grey, log_probs_TK, path, plain)
            verdicts = judge(image, self.bundle.geometry, paper_level=measured.paper_level)
            yield Observation(reading=reading, profile=measured, verdicts=verdicts)

    def log_probs(self, grey: Grey) -> Scores:
        """Return the network's scores for one decoded line, shape (steps, classes)."""
        tensor_1HW = line_tensor(grey, self.bundle.geometry)
        (log_probs_BTK,) = self._session.run(None, {"images": tensor_1HW[None]})
        return np.asarray(log_probs_BTK[0])

    def _read(self, grey: Grey, characters: bool, alternatives: int) -> tuple[Reading, BestPath, Scores]:
        if not 0 <= alternatives <= MAX_BEAM:
            raise ValueError(f"alternatives must be within 0..{MAX_BEAM}, got {alternatives}")
        log_probs_TK = self.log_probs(grey)
        path = best_path(log_probs_TK)
        found, search_log_prob = self._found(log_probs_TK, path, alternatives)
        text, log_prob = self._text(found[0]), text_log_prob(log_probs_TK, found[0].class_ids)
        reading = Reading(
            text=text,
            confidence=self.bundle.calibration.confidence(
                log_prob=log_prob,
                best_path=path.log_prob,
                num_characters=len(text),
                search_log_prob=search_log_prob,
            ),
            log_prob=log_prob,
            search_log_prob=search_log_prob,
            characters=self._characters(grey, log_probs_TK, found[0]) if characters else None,
            alternatives=self._alternatives(found, alternatives),
        )
        return reading, path, log_probs_TK

    def _found(
        self, log_probs_TK: Scores, path: BestPath, alternatives: int
    ) -> tuple[list[Hypothesis], float | None]:
        """Return the reading, what else the line may hold if that was asked for, and the reading's share."""
        decoding = self.bundle.decoding
        if decoding is not None:  # a wider beam for the alternatives must not change the reading
            found = self._search.search(log_probs_TK)
            first, search_log_prob = found[0], _share(found)
            if alternatives <= decoding.beam:
                return found, search_log_prob
        else:
            score = path.log_prob
            first, search_log_prob = Hypothesis(class_ids=tuple(path.class_ids), log_prob=score, score=score), None
        if not alternatives:
            return [first], search_log_prob
        wide = replace(decoding or Decoding(), beam=max(alternatives, Decoding().beam))
        others = self._beam_search(wide).search(log_probs_TK)
        same = [one for one in others if one.class_ids == first.class_ids] or [first]
        return [same[0], *(one for one in others if one.class_ids != first.class_ids)], search_log_prob

    def _alternatives(self, found: list[Hypothesis], most: int) -> tuple[Alternative, ...]:
        """Return the first few different texts; class ids that normalise to the same text are one."""
        by_text: dict[str, list[Hypothesis]] = {}
        for one in found if most else ():
            by_text.setdefault(self._text(one), []).append(one)
        return tuple(
            Alternative(
                text=text,
                log_prob=min(0.0, float(np.logaddexp.reduce([one.log_prob for one in same]))),
                score=same[0].score,
            )
            for text, same in list(by_text.items())[:most]
        )

    def _characters(self, grey: Grey, log_probs_TK: Scores, found: Hypothesis) -> tuple[Character, ...]:
        height, width = grey.shape
        return locate(
            log_probs_TK,
            found.class_ids,
            self.bundle.alphabet.decode(found.class_ids),
            self.bundle.alphabet.reading_order(found.class_ids),
            pixels_per_step=self.bundle.geometry.column_step * width / scaled_width(grey, self.bundle.geometry),
            width=width,
            height=height,
        )

    def _text(self, found: Hypothesis) -> str:
        return normalise(self.bundle.alphabet.decode(found.class_ids))

    def _beam_search(self, decoding: Decoding) -> BeamSearch:
        return BeamSearch(self.bundle.alphabet, decoding, ngram=self._ngram, lexicon=self._lexicon)


def _share(found: list[Hypothesis]) -> float:
    """Return the log of the first one's share of all their scores."""
    return min(0.0, found[0].score - float(np.logaddexp.reduce([one.score for one in found])))

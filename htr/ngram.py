"""A character n-gram language model: texts in, the probability of the next character out.

Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999, "An empirical study of smoothing techniques for
language modeling", section 4.4). Kept in a bundle as ``ngram.npz``: plain arrays of counts, nothing pickled.
"""

import io
import math
import zipfile
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from htr.errors import BundleError, DataError
from htr.kneser_ney import EDGE, Level, count_levels, suffix_links

FORMAT_VERSION = 1
MAX_BYTES = 3_000_000
"""Largest file: rare n-grams are left out until the model fits."""
MAX_UNPACKED_BYTES = 200_000_000
"""A file that claims more is refused before it is unpacked."""
DEFAULT_ORDER = 6
"""Measured: docs/decisions/0008-decoding.md."""
_MEMORY = 200_000
"""Answers that are kept, about 30 MB; then all are forgotten, and worked out again when asked for."""


class NGram:
    """A model to ask. States are numbers; `START` is the one before a line's first character.

    Args:
        characters: those that it knows; character number i is symbol i + 1.
        levels: n-grams of 1, 2, ... symbols, as `htr.kneser_ney.count_levels` makes them.
    """

    def __init__(self, characters: Sequence[str], levels: Sequence[Level]) -> None:
        self.characters = tuple(characters)
        self.order = len(levels)
        self._levels = tuple(levels)
        self._symbols = {c: n for n, c in enumerate(self.characters, start=1)}
        self.unknown = len(self.characters) + 1
        self._base = self.unknown + 1
        self._link()
        self._memory: dict[int, tuple[float, int]] = {}
        self.start = self.step(0, EDGE)[1]
        """State before the first character."""

    def __len__(self) -> int:
        """Count n-grams of all lengths."""
        return sum(len(level) for level in self._levels)

    @classmethod
    def fit(cls, texts: Iterable[str], *, order: int = DEFAULT_ORDER, max_bytes: int = MAX_BYTES) -> "NGram":
        """Learn from normalised texts, one line each.

        Args:
            texts: what was written; training texts only, or the weights tuned with it will be too trusting.
            order: symbols of the longest n-gram, the predicted one included, at least 1.
            max_bytes: n-grams of three symbols and more that occur less than 2, 4, 8, ... times are left out
                until the saved model is no larger.

        Raises:
            DataError: there is no text.
        """
        texts = list(texts)
        if not any(texts):
            raise DataError("no text to learn a language model from; give a dataset with lines in split 'train'")
        characters = sorted({c for text in texts for c in text})
        symbols = {c: n for n, c in enumerate(characters, start=1)}
        cut = 1
        while True:
            model = cls(characters, count_levels(texts, symbols, order, cut=cut))
            if len(model.to_bytes()) <= max_bytes or not any(len(level) for level in model._levels[2:]):
                return model
            cut *= 2

    def symbol(self, character: str) -> int:
        """Return a character's symbol; `unknown` where the texts never had it."""
        return self._symbols.get(character, self.unknown)

    def step(self, state: int, symbol: int) -> tuple[float, int]:
        """Return the natural log-probability of a symbol in a state, and the state after it.

        Args:
            state: `start`, or one that this method returned.
            symbol: from `symbol`, or EDGE for the line's end.
        """
        key = state * self._base + symbol
        known = self._memory.get(key)
        if known is None:
            if len(self._memory) >= _MEMORY:
                self._memory.clear()
            known = self._memory[key] = self._look_up(state, symbol)
        return known

    def bits_per_character(self, texts: Iterable[str]) -> float:
        """Return the cross-entropy of texts, a line's end counted as a character: lower is better."""
        total, num = 0.0, 0
        for text in texts:
            state = self.start
            for symbol in [*map(self.symbol, text), EDGE]:
                log_prob, state = self.step(state, symbol)
                total -= log_prob
                num += 1
        return total / max(1, num) / math.log(2)

    def to_bytes(self) -> bytes:
        """Return the model as the bytes of an ``.npz`` file."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "format_version": np.array([FORMAT_VERSION]),
            "characters": np.array([ord(c) for c in self.characters], np.uint32),
            "discounts": np.array([level.discounts for level in self._levels], np.float64),
        }
        above = 1
        for n, level in enumerate(self._levels, start=1):
            children = np.bincount(level.parents, minlength=above)
            for name, values in (("children", children), ("symbols", level.symbols), ("counts", level.counts)):
                arrays[f"{name}_{n}"] = values.astype(np.min_scalar_type(int(values.max(initial=0))))
            above = len(level)
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # its stub takes a keyword for a flag
        return out.getvalue()

    @classmethod
    def load(cls, path: Path) -> "NGram":
        """Load a model that `to_bytes` wrote.

        Raises:
            BundleError: missing, damaged, or of another version.
        """
        try:
            _check_size(path)
            with np.load(path, allow_pickle=False) as arrays:
                levels = _levels(arrays)
                return cls([chr(c) for c in arrays["characters"]], levels)
        except (OSError, KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(f"{path}: not a language model of ours ({error}); tune the bundle again") from error

    def _link(self) -> None:
        """Work out probabilities, back-off weights and links: every node gets a number, the root is 0."""
        suffixes = suffix_links([x.parents for x in self._levels], [x.symbols for x in self._levels], self._base)
        offsets = np.cumsum([0, 1, *(len(level) for level in self._levels)])
        log_probs, back_offs, links = [np.zeros(1)], [], [np.zeros(1, np.int64)]
        lower = np.full(1, 1.0 / (len(self.characters) + 2))  # characters, the edge, and one for all unknown ones
        children: list[npt.NDArray[np.int64]] = []
        for n, level in enumerate(self._levels):
            above = int(offsets[n + 1] - offsets[n])
            taken = np.array([0.0, *level.discounts])[np.minimum(level.counts, 3)]
            totals = np.bincount(level.parents, level.counts, minlength=above)
            weight = np.bincount(level.parents, taken, minlength=above) / np.maximum(totals, 1)
            weight[totals == 0] = 1.0  # nothing was seen to follow: ask the shorter history
            kept = (level.counts - taken) / np.maximum(totals, 1)[level.parents]
            lower = kept + weight[level.parents] * lower[suffixes[n]]
            log_probs.append(np.log(lower))
            back_offs.append(np.log(weight))
            children.append(np.bincount(level.parents, minlength=above))
            links.append(suffixes[n] + offsets[n])
        last = np.zeros(len(self._levels[-1]) if self._levels else 1)
        first = 1 + np.cumsum([0, *np.concatenate([*children, last.astype(np.int64)])])
        self._log_prob = _view(np.concatenate(log_probs))
        self._back_off = _view(np.concatenate([*back_offs, last]))
        self._suffix = _view(np.concatenate(links))
        self._first_child = _view(first)
        self._last_symbol = _view(np.concatenate([[0], *(x.symbols for x in self._levels)]).astype(np.int64))
        self._uniform = -math.log(len(self.characters) + 2)

    def _look_up(self, state: int, symbol: int) -> tuple[float, int]:
        total = 0.0
        while True:
            first, end = self._first_child[state], self._first_child[state + 1]
            child = bisect_left(self._last_symbol, symbol, first, end)
            if child < end and self._last_symbol[child] == symbol:
                total += self._log_prob[child]
                break
            total += self._back_off[state]
            if state == 0:
                return total + self._uniform, 0
            state = self._suffix[state]
        # A history that nothing was seen to follow answers as its suffix does.
        while self._first_child[child] == self._first_child[child + 1] and child:
            child = self._suffix[child]
        return total, child


def _view(values: npt.NDArray[Any]) -> Any:
    """Return numbers that Python reads one at a time: several times as fast as an array, and no larger."""
    return memoryview(values)  # type: ignore[arg-type]  # numpy's stubs hide that arrays are buffers


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")


def _levels(arrays: "np.lib.npyio.NpzFile") -> list[Level]:
    if int(arrays["format_version"][0]) != FORMAT_VERSION:
        raise ValueError(f"format version {arrays['format_version'][0]}, expected {FORMAT_VERSION}")
    levels: list[Level] = []
    above = 1
    for n, discounts in enumerate(arrays["discounts"].tolist(), start=1):
        children, symbols, counts = (
            arrays[f"{name}_{n}"].astype(np.int64) for name in ("children", "symbols", "counts")
        )
        if len(children) != above or children.sum() != len(symbols) or len(symbols) != len(counts):
            raise ValueError(f"level {n} does not fit the one above")
        if symbols.size and (symbols.max() > len(arrays["characters"]) or counts.min() < 1):
            raise ValueError(f"level {n} has impossible symbols or counts")
        one, two, three = discounts
        parents = np.repeat(np.arange(above), children)
        levels.append(Level(parents=parents, symbols=symbols, counts=counts, discounts=(one, two, three)))
        above = len(symbols)
    if not levels:
        raise ValueError("no n-gram")
    return levels

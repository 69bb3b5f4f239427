"""Lines that both servers read: of a lines dataset, sent to both; or mirrored requests, found in both logs."""

import base64
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Protocol

from htr.errors import ServiceError
from htr.image_log import read_texts
from htr.lines import LinesDataset
from monitoring.governor.addresses import without_user_info
from monitoring.rollout.guards import Pairs

TIMEOUT_S = 60.0
A_REQUEST = 10
"""Lines in one request."""
SETTLED_S = 60.0
"""Logs are written in batches: so long after a request both rows are there, or never will be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What came of one look at paired lines."""

    pairs: Pairs
    cursor: str
    """Where the next look goes on."""
    is_all: bool
    """There are no more."""


class PairSource(Protocol):
    """Finds lines that both read."""

    def compare(self, cursor: str, most: int) -> Compared:
        """Compare lines that no look before has compared.

        Args:
            cursor: what the look before returned, "" for the first.
            most: so many lines at most.

        Raises:
            ServiceError: a server is away or refuses.
            DataError: dataset or log cannot be read.
        """


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Sends lines of known text to both. A line is sent once: reading it again would tell nothing new."""

    lines: Path
    """Lines dataset; its test lines, or all where it has none."""
    stable: str
    """Address of a server."""
    canary: str
    model: str = "htr"
    token_file: Path | None = None

    def compare(self, cursor: str, most: int) -> Compared:
        """See `PairSource`."""
        dataset = LinesDataset.open(self.lines)
        split = "test" if any(True for _ in islice(dataset.lines("test"), 1)) else None
        begin = int(cursor or 0)
        chosen = list(islice(dataset.lines(split), begin, begin + most))
        pairs = Pairs()
        for place in range(0, len(chosen), A_REQUEST):
            part = chosen[place : place + A_REQUEST]
            images = [line.image for line in part]
            both = zip(part, self._read(self.stable, images), self._read(self.canary, images), strict=True)
            for line, stable, canary in both:
                right = (stable == line.text, canary == line.text)
                pairs += Pairs(
                    compared=1,
                    differ=int(stable != canary),
                    only_stable=int(right == (True, False)),
                    only_canary=int(right == (False, True)),
                )
        return Compared(pairs=pairs, cursor=str(begin + len(chosen)), is_all=len(chosen) < most)

    def _read(self, url: str, images: list[bytes]) -> list[str]:
        address = f"{url.rstrip('/')}/v1/models/{self.model}:predict"
        instances = [{"image": {"b64": base64.b64encode(image).decode()}} for image in images]
        body = json.dumps({"instances": instances, "parameters": {"partial": True}}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            if self.token_file is not None:
                headers["Authorization"] = f"Bearer {self.token_file.read_text(encoding='utf-8').strip()}"
            request = urllib.request.Request(address, body, headers)  # noqa: S310 - a setting
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                texts = [str(one["text"]) for one in json.load(answer)["predictions"]]
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            said = without_user_info(f"{address}: {error}", url)
            raise ServiceError(f"{said}; the paired lines are compared at the next look") from error
        if len(texts) != len(images):
            raise ServiceError(f"{without_user_info(address)}: {len(texts)} readings of {len(images)} lines")
        return texts


@dataclass(frozen=True, kw_only=True)
class LoggedPairs:
    """Mirrored requests: the same request id and position in the image logs of both servers."""

    stable: Path
    """Folder of its prediction log, written with ``--log-images``."""
    canary: Path
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def compare(self, cursor: str, most: int) -> Compared:
        """See `PairSource`; the first look only sets the time from which on requests count.

        Lines of one request are compared at one look, even where that makes more than ``most``.
        """
        until = self.clock() - timedelta(seconds=SETTLED_S)
        if not cursor:
            return Compared(pairs=Pairs(), cursor=until.isoformat(), is_all=False)
        since = datetime.fromisoformat(cursor)
        early = since - timedelta(seconds=SETTLED_S)  # the other row of a pair may be a little older
        rows = [
            {(row.request_id, row.position): row for row in read_texts(folder, since=early)}
            for folder in (self.stable, self.canary)
        ]
        both = sorted((max(rows[0][key].time, rows[1][key].time), key) for key in rows[0].keys() & rows[1].keys())
        new = [(time, key) for time, key in both if since < time <= until]
        # Lines of a request have one time, and what bears the cursor's is not looked at again.
        last = new[most - 1][0] if len(new) >= most else until
        new = [(time, key) for time, key in new if time <= last]
        differ = sum(rows[0][key].text != rows[1][key].text for _, key in new)
        return Compared(pairs=Pairs(compared=len(new), differ=differ), cursor=last.isoformat(), is_all=False)

"""Ours with a language model: the training of ``ours``, then ``python -m htr tune``, within the same budget."""

import json
from pathlib import Path

from benchmarks.peers.ours import Ours, run_htr
from benchmarks.peers.protocol import PeerAbsentError, PeerError, Site, Trained

TUNE_LINES = 100
"""Validation lines that the language model is weighed by."""


class OursTuned(Ours):
    """What ``ours`` trained, read by beam search; it must have been trained in the same bench."""

    name = "ours+lm"

    def fingerprint(self) -> str:
        """Return that of ``ours`` with this file's."""
        from benchmarks.peers.fingerprints import of_files

        return f"{of_files(Path(__file__))}:{super().fingerprint()}"

    def train(self, site: Site) -> Trained:
        """Tune; the time of the training counts in."""
        kept = site.folder.parent / Ours.name / "trained.json"
        if not kept.is_file():
            raise PeerAbsentError(f"nothing was trained yet; name {Ours.name} before {self.name} in --peers")
        raw = json.loads(kept.read_text(encoding="utf-8"))
        if raw.pop("fingerprint") != super().fingerprint():
            raise PeerError(f"what {Ours.name} trained is of another state; name it before {self.name} in --peers")
        trained = Trained(**raw)
        # From the bundle as trained: its calibration belongs to another decoding.
        plain, tuned, finished = (
            site.folder.parent / Ours.name / "bundle",
            site.folder / "tuned",
            site.folder / "bundle",
        )
        lines = str(site.layout.dataset)
        options = ["--bundle", str(plain), "--out", str(tuned), "--max-lines", str(TUNE_LINES)]
        seconds = run_htr(site, "tune", lines, *options)
        seconds += run_htr(site, "calibrate", lines, "--bundle", str(tuned), "--out", str(finished))
        return Trained(
            model=str(finished),
            bytes_on_disk=sum(file.stat().st_size for file in finished.rglob("*") if file.is_file()),
            seconds=(trained.seconds or 0.0) + seconds,
            lines_shown=trained.lines_shown,
            lines_per_s=trained.lines_per_s,
            validation_cer=trained.validation_cer,
            notes=[f"the training of {Ours.name}, and {seconds:.0f} s of tuning"],
        )

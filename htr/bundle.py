"""The bundle: one folder that holds everything a model needs to read, and nothing that can run code.

    bundle.json           format version, architecture, alphabet, geometry, calibration, metrics, provenance,
                          and the SHA-256 of every other file
    weights.safetensors   for training on from here
    model.onnx            for reading
    model.int8.onnx       the same with 8-bit weights in its matrix products; used where `Parity` allows it
    ngram.npz             optional: a character language model, for a beam search that asks one
    lexicon.txt           optional: known words, for a beam search that asks for them
    reference.parquet     profile rows of lines that training did not see: what drift compares with
    error_model.json      optional: estimates the character error rate of profile rows (htr/error_model.py)

A bundle's digest is the SHA-256 of its ``bundle.json``, which names the digests of the rest.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from htr.alphabet import Alphabet
from htr.calibration import Calibration
from htr.decoding import LEXICON, NGRAM, Decoding
from htr.errors import BundleError, OutputError
from htr.image import Geometry
from htr.lines import file_sha256
from htr.making import partial_folder

FORMAT_VERSION = 3
READABLE = (1, 2, 3)
"""Version 1 had no 8-bit graph, no search settings and a calibration of fewer numbers; version 2 had neither the
output EMBEDDING nor an error model, and a reference of profile version 1."""
MAX_CER_DELTA = 1e-3
"""Rise of the character error rate, as a fraction, that 8 bits may cost."""
MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
ONNX = "model.onnx"
INT8 = "model.int8.onnx"
REFERENCE = "reference.parquet"
ERROR_MODEL = "error_model.json"
ASKED = (NGRAM, LEXICON)
"""Files that a decoding may ask."""
LOG_PROBS = "log_probs"
"""Output of both graphs: log-softmax scores."""
EMBEDDING = "embedding"
"""Output of both graphs: what the encoder makes of the whole line, in a few numbers. Older bundles have none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How the 8-bit graph read the validation lines beside the 32-bit one; see htr.parity."""

    lines: int = 0
    """0 where nobody compared them."""
    changed_lines: int = 0
    """Lines whose text differs."""
    max_difference: float = 0.0
    """Largest difference of any class's probability at any step, 0..1."""
    cer_fp32: float = 0.0
    cer_int8: float = 0.0

    @property
    def trusted(self) -> bool:
        """Whether the 8-bit graph may be read with: its CER is at most MAX_CER_DELTA higher."""
        return self.lines > 0 and self.cer_int8 - self.cer_fp32 <= MAX_CER_DELTA


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """What ``bundle.json`` says, and where it lies."""

    path: Path
    architecture: dict[str, Any]
    """The network's config; `htr.model.ModelConfig.from_dict` reads it."""
    alphabet: Alphabet
    geometry: Geometry
    calibration: Calibration = field(default_factory=Calibration)
    parity: Parity = field(default_factory=Parity)
    decoding: Decoding | None = None
    """Settings of the beam search; None is best path, as in bundles older than the field."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Filled by evaluation, ``cer`` and the like, as fractions."""
    dataset_digest: str = ""
    """Content digest of the lines dataset it learnt from."""
    git_commit: str = ""
    base_digest: str = ""
    """Digest of the bundle that training started from, or ""."""
    trained_lines: int = 0
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every other file in the folder."""

    @classmethod
    def open(cls, path: Path | str) -> "Bundle":
        """Open a bundle and check every file against its digest.

        Raises:
            BundleError: missing, incomplete, altered, or of another version.
        """
        path = Path(path)
        manifest = path / MANIFEST
        if not manifest.is_file():
            raise BundleError(f"{path}: not a model bundle (no {MANIFEST}); give the folder that training wrote")
        try:
            raw = json.loads(manifest.read_text(encoding="utf-8"))
            if raw["format_version"] not in READABLE:
                raise BundleError(
                    f"{manifest}: format version {raw['format_version']}, this program reads {READABLE}; "
                    "use the matching release, or train again"
                )
            geometry = Geometry(**raw["geometry"])
            if raw["preprocessing"] != geometry.fingerprint():
                raise BundleError(
                    f"{manifest}: made for another preprocessing ({raw['preprocessing']}, this program has "
                    f"{geometry.fingerprint()}); it would misread, so use the matching release or train again"
                )
            bundle = cls(
                path=path,
                alphabet=Alphabet(raw["alphabet"]),
                geometry=geometry,
                calibration=Calibration(**raw["calibration"]),
                parity=Parity(**raw.get("parity", {})),
                decoding=Decoding.from_dict(raw.get("decoding")),
                **{name: raw[name] for name in _PLAIN},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{manifest}: damaged ({error!r}); fetch the bundle again") from error
        bundle._check_files()
        return bundle

    @property
    def digest(self) -> str:
        """``sha256:...`` of the manifest, which covers every file."""
        return "sha256:" + file_sha256(self.path / MANIFEST)

    def _check_files(self) -> None:
        for name in (WEIGHTS, ONNX, *(self.decoding.files() if self.decoding else ())):
            if name not in self.files:
                raise BundleError(f"{self.path / MANIFEST}: does not list {name}; fetch the bundle again")
        for name, digest in self.files.items():
            file = self.path / name
            if Path(name).name != name or not file.is_file():
                raise BundleError(f"{self.path}: {name} is missing; fetch the bundle again")
            if file_sha256(file) != digest:
                raise BundleError(f"{file}: altered since it was written; fetch the bundle again")

    def manifest(self) -> dict[str, Any]:
        """Return the content of ``bundle.json``."""
        return {
            "format_version": FORMAT_VERSION,
            **{name: getattr(self, name) for name in _PLAIN},
            "alphabet": list(self.alphabet.characters),
            "geometry": asdict(self.geometry),
            "preprocessing": self.geometry.fingerprint(),
            "calibration": self.calibration.to_dict(),
            "parity": asdict(self.parity),
            **({"decoding": self.decoding.to_dict()} if self.decoding else {}),
        }


_OWN = {"path", "alphabet", "geometry", "calibration", "parity", "decoding"}
_PLAIN = tuple(f.name for f in fields(Bundle) if f.name not in _OWN)


def write_bundle(bundle: Bundle, files: Mapping[str, Path | bytes]) -> Bundle:
    """Write a bundle to ``bundle.path``, whole or not at all.

    Args:
        bundle: what the manifest shall say; its ``files`` are computed here.
        files: name in the bundle -> content, or a file to copy.

    Returns:
        The bundle as it lies on disk.

    Raises:
        OutputError: the folder exists and is not empty, is being written by another process, or cannot be written.
    """
    path = bundle.path
    refuse_what_is_there(path)
    try:
        with partial_folder(path) as partial:
            for name, content in files.items():
                if isinstance(content, bytes):
                    (partial / name).write_bytes(content)
                else:
                    shutil.copyfile(content, partial / name)
            digests = {name: file_sha256(partial / name) for name in sorted(files)}
            written = replace(bundle, files=digests)
            text = json.dumps(written.manifest(), ensure_ascii=False, indent=2)
            (partial / MANIFEST).write_text(text, encoding="utf-8")
            if path.is_dir():
                path.rmdir()
            partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
    return written


def refuse_what_is_there(path: Path) -> None:
    """Say so before the work where a bundle cannot be written to a folder.

    Raises:
        OutputError: there is something.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path}: already there; remove it or choose another folder")


def amend_bundle(bundle: Bundle, path: Path, files: Mapping[str, Path | bytes], **changes: Any) -> Bundle:
    """Write a copy of a bundle with some manifest fields changed and some files added or replaced.

    Language model and lexicon go along where the copy's decoding asks them. Calibration, drift reference and
    error model belong to the decoding that they were made with, its language model and lexicon included: a copy of
    another decoding starts without them.
    """
    decoding = changes.get("decoding", bundle.decoding)
    asked = decoding.files() if decoding is not None else ()
    kept = {name: bundle.path / name for name in bundle.files if name in asked or name not in ASKED}
    if decoding != bundle.decoding or any(_is_new(bundle, name, files) for name in asked):
        changes.setdefault("calibration", Calibration())
        kept = {name: file for name, file in kept.items() if name not in {REFERENCE, ERROR_MODEL}}
    return write_bundle(replace(bundle, path=path, **changes), {**kept, **files})


def _is_new(bundle: Bundle, name: str, files: Mapping[str, Path | bytes]) -> bool:
    if name not in files:
        return False
    given = files[name]
    digest = hashlib.sha256(given).hexdigest() if isinstance(given, bytes) else file_sha256(given)
    return bundle.files.get(name) != digest


def short(digest: str) -> str:
    """Return the first 12 hex digits of a ``sha256:`` digest, for people."""
    return digest.removeprefix("sha256:")[:12]


def bytes_digest(data: bytes) -> str:
    """Return ``sha256:...`` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()

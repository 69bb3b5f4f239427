"""Every error that Quillflow raises on purpose.

    QuillflowError            what was wrong, where, and what to do: fit to be shown to a user as it is
    |-- DataError             a table, dataset or transcription cannot be used as it stands
    |   |-- AlteredError      stored bytes are not those that their digest names
    |   |-- ConflictError     an id stands for something else already
    |   |-- DivergedError     a training came to numbers that are none
    |   |-- ImageError        one image cannot be read as a line or a page
    |   `-- MissingError      nothing goes by the id that was given
    |       `-- ErasedError     it was there, and was erased on purpose
    |-- BundleError           a model folder is missing, incomplete, altered or of another version
    |   `-- SignatureError    nobody who is trusted vouches for it as it lies there
    |-- SettingsError         an option or a combination of options makes no sense
    |   `-- TenantError         what is named belongs to another tenant, or to nobody who is known
    |-- PreemptedError        a training was told to stop, and goes on from its checkpoint when it is started again
    |-- OutputError           a result cannot be written where it was asked for
    |-- ServiceError          something we talk to (MLflow, KFP, the model server) is away or refuses
    |   `-- StoreError        the store of versions is away, refuses, or is none
    `-- ShapeError            an array has other dimensions than the caller promised

A command prints the message after ``error:`` and exits with 2, or with 143 where it was told to stop; a traceback
means a fault of ours.
"""

from typing import ClassVar

__all__ = [
    "AlteredError",
    "BundleError",
    "ConflictError",
    "DataError",
    "DivergedError",
    "ErasedError",
    "ImageError",
    "MissingError",
    "OutputError",
    "PreemptedError",
    "QuillflowError",
    "ServiceError",
    "SettingsError",
    "ShapeError",
    "SignatureError",
    "StoreError",
    "TenantError",
]


class QuillflowError(Exception):
    """Base of the tree; its text says what was wrong, where, and what to do."""


class DataError(QuillflowError):
    """A table, dataset or transcription cannot be used as it stands."""


class AlteredError(DataError):
    """Stored bytes are not those that their digest names."""


class ConflictError(DataError):
    """An id stands for something else already; what was there first stays."""


class DivergedError(DataError):
    """A training came to numbers that are none; with other settings the same lines may do."""


class ImageError(DataError):
    """One image cannot be read as a line or a page.

    Attributes:
        reason: a short machine-readable word: ``empty``, ``undecodable``, ``unsupported``, ``too_large``,
            ``too_small``, ``unreadable``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MissingError(DataError):
    """Nothing goes by the id that was given."""


class ErasedError(MissingError):
    """It was there, and was erased on purpose: it does not come back."""


class BundleError(QuillflowError):
    """A model folder is missing, incomplete, altered or of another version."""


class SignatureError(BundleError):
    """Nobody who is trusted vouches for a model folder as it lies there."""


class SettingsError(QuillflowError):
    """An option or a combination of options makes no sense."""


class TenantError(SettingsError):
    """What is named belongs to another tenant, or to nobody who is known."""


class OutputError(QuillflowError):
    """A result cannot be written where it was asked for."""


class PreemptedError(QuillflowError):
    """A training was told to stop, and goes on from its checkpoint when it is started again."""

    EXIT_STATUS: ClassVar[int] = 143
    """128 + SIGTERM: what Kubernetes takes for a pod that was taken away, and starts again."""


class ServiceError(QuillflowError):
    """Something we talk to (MLflow, KFP, the model server) is away or refuses."""


class StoreError(ServiceError):
    """The store of versions is away, refuses, or is none."""


class ShapeError(QuillflowError, ValueError):
    """An array has other dimensions than the caller promised."""

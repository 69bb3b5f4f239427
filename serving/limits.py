"""How much one request may ask for, and how many may wait."""

from dataclasses import asdict, dataclass, replace

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is over is refused at once, and before it is decoded."""

    max_images: int = 64
    max_image_bytes: int = 10 * MIB
    """One encoded image."""
    max_pixels: int = 40_000_000
    """Of all images of one request together, which bounds the seconds of processor time that it can cost."""
    max_body_bytes: int = 64 * MIB
    """One HTTP request; gRPC has KServe's ``--grpc_max_receive_message_length``."""
    max_buffered_bytes: int = 256 * MIB
    """Bodies of all HTTP requests that are being received or answered."""
    max_files: int = 8
    """Files of pages in one request."""
    max_file_bytes: int = 40 * MIB
    """One file of pages."""
    max_pages: int = 20
    """Of all files of one request together."""
    max_page_pixels: int = 40_000_000
    """One page: A4 at 600 dots an inch has 35 million."""
    max_lines: int = 1_000
    """Found on one page."""
    max_alternatives: int = 20
    """Texts a line that a request may ask for."""
    max_waiting: int = 4
    """Requests that wait while all threads read; they are answered in the order they came."""
    max_seconds: float = 30.0
    """From when a request was received to its answer, waiting included."""
    max_upload_seconds: float = 30.0
    """For receiving the body of one HTTP request."""

    def __post_init__(self) -> None:
        timed = {"max_seconds", "max_upload_seconds"}
        values = asdict(self)
        if min(value for name, value in values.items() if name not in timed) < 1:
            raise ValueError(f"limits must be at least 1: {self}")
        if min(values[name] for name in timed) <= 0:
            raise ValueError(f"time limits must be above 0: {self}")

    @property
    def of_files(self) -> "Limits":
        """The same with files of pages in the place of line images."""
        return replace(self, max_images=self.max_files, max_image_bytes=self.max_file_bytes)

"""The common look of the report pages: a template and values in, one HTML file out that needs nothing else.

A page carries its styles, pictures and drawings in itself, runs no script, and asks no other machine for anything;
its security policy says so to the browser. Values are escaped wherever they are shown.
"""

import base64
import hashlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from htr.errors import OutputError
from htr.image import decode

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LAYOUT = Path(__file__).with_name("page.html")
_MAX_INLINE_BYTES = 60_000
"""An image that takes more is shrunk before it goes into a page."""
_MAX_INLINE_HEIGHT = 128
"""Pixels; enough for a line that is shown at about 60."""
_FORMATS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
_TEXT_COLOUR = "#123456"
"""Stands for the page's own text colour while a drawing is made, so that it suits light and dark pages."""


def render(title: str, template: Path | str, **values: object) -> str:
    """Fill a page.

    Args:
        title: of the page.
        template: what the page holds, in Jinja: a file, or the text itself.
        **values: what the template names; a name without a value is an error.
    """
    from markupsafe import Markup

    text = template.read_text(encoding="utf-8") if isinstance(template, Path) else template
    environment = _environment()
    body = Markup(environment.from_string(text).render(values))  # noqa: S704 - rendered with autoescape on
    return environment.from_string(_LAYOUT.read_text(encoding="utf-8")).render(title=title, body=body)


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all.

    Raises:
        OutputError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            stream.write(html.encode("utf-8"))
        partial = Path(stream.name)
        try:
            partial.chmod(0o644)
            os.replace(partial, path)  # noqa: PTH105 - Path.replace is the same
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


def image_data_uri(data: bytes) -> str:
    """Return an encoded image as a ``data:`` address that every browser shows.

    PNG, JPEG and WebP of moderate size stay as they are; anything else becomes a PNG.

    Raises:
        ImageError: it cannot be decoded.
    """
    grey = decode(data)  # a browser would show a broken image without a word
    kind = next((name for magic, name in _FORMATS.items() if data.startswith(magic)), None)
    if kind is None or len(data) > _MAX_INLINE_BYTES:
        from PIL import Image

        image, kind = Image.fromarray(grey), "png"
        image.thumbnail((image.width, _MAX_INLINE_HEIGHT))
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
        data = out.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def chart(width_in: float, height_in: float, *, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """Return an empty drawing with axes side by side, in the colours of the page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    figure.patch.set_alpha(0)
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for axis in axes:
        axis.patch.set_alpha(0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(_TEXT_COLOUR)
        axis.tick_params(colors=_TEXT_COLOUR, labelsize=9)
        axis.xaxis.label.set_color(_TEXT_COLOUR)
        axis.yaxis.label.set_color(_TEXT_COLOUR)
        axis.title.set_color(_TEXT_COLOUR)
        axis.title.set_fontsize(10)
        axis.grid(visible=True, color=_TEXT_COLOUR, alpha=0.12, linewidth=0.8)
    return figure, axes


def figure_svg(figure: "Figure", *, label: str = "chart") -> str:
    """Return a drawing as inline SVG; the same drawing gives the same text.

    Args:
        figure: a matplotlib figure; see `chart`.
        label: what it shows, for those who cannot see it.
    """
    import matplotlib as mpl
    from markupsafe import Markup, escape

    out = io.StringIO()
    plain = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": "quillflow", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata=plain)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)  # HTML knows SVG without
    # Several drawings share a page: only the ids that something refers to stay, under names of their own.
    referred = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", svg))
    own = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{own}-{m[1]}"' if m[1] in referred else "", svg)
    svg = re.sub(r"(url\(|href=\")#", rf"\g<1>#{own}-", svg)
    svg = svg.replace(_TEXT_COLOUR, "currentColor").replace(
        "<svg", f'<svg role="img" aria-label="{escape(label)}"', 1
    )
    return Markup(svg)  # noqa: S704 - matplotlib escapes texts


def _environment() -> "Environment":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}\u2009%"
    environment.filters["points"] = lambda share: f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
    environment.filters["count"] = lambda number: f"{number:,}".replace(",", "\u2009")
    return environment

"""The compiled pipelines as they are reviewed: without versions, for the default site and one that asks for all.

``python -m tests.golden_pipelines`` writes them anew; what changed in the pipeline is then a diff of YAML.
"""

import re
from functools import cache
from pathlib import Path

from pipelines.compiling import Compiled, compiled, compiled_manifests
from pipelines.site import Site, read_site

FOLDER = Path(__file__).parent / "golden" / "pipelines-1"
SITE = FOLDER / "site.toml"


@cache  # compiling takes a second each time
def texts() -> dict[str, str]:
    """Return every golden file's name and what it should hold."""
    return {
        "training.yaml": normal(package("training").text),
        "search.yaml": normal(package("search").text),
        "training-on-site.yaml": normal(package("training", SITE, "c0ffee").text),
        "search-manifests.yaml": normal(compiled_manifests("search", Site(), commit="0123abc")),
    }


@cache
def package(pipeline: str, site: Path | None = None, contents: str = "") -> Compiled:
    """Return a compiled pipeline."""
    return compiled(pipeline, read_site(site), contents=contents)


def normal(text: str) -> str:
    """Return a compiled pipeline without what an upgrade of kfp or a rebuilt image changes."""
    text = re.sub(r"sdkVersion: kfp-[\d.]+", "sdkVersion: kfp", text)
    return re.sub(r"(0123abc-)[0-9a-f]{8}", r"\g<1>DIGEST", text)


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")

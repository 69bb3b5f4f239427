"""Files that a browser names, refused unless they were uploaded to this page.

What a button sends may name a file by its path or by an address. Gradio looks where a path leads only in pages
that it launched itself, which a mounted one is not: it would read any file of this machine, and fetch any address
outside of it.
"""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder


class UploadsOnly(gr.Blocks):
    """A page whose buttons take uploaded files alone."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Refuse other files before anything is done with them.

        Raises:
            Error: told to the person at the page.
        """
        if not all(is_uploaded(path, Path(get_upload_folder())) for path in named_files(inputs)):
            raise gr.Error("This file was not uploaded here. Drop it again.", print_exception=False)
        taken: list[Any] = await super().preprocess_data(block_fn, inputs, state, explicit_call)
        return taken


def named_files(sent: object) -> list[object]:
    """Return whatever stands as a file's path in what was sent, at any depth."""
    if isinstance(sent, dict):
        here = [sent["path"]] if "path" in sent else []
        return here + [path for value in sent.values() for path in named_files(value)]
    if isinstance(sent, list):
        return [path for value in sent for path in named_files(value)]
    return []


def is_uploaded(path: object, uploads: Path) -> bool:
    """Return whether a path leads to something in the folder of uploads, links followed."""
    if not isinstance(path, str):
        return False
    try:
        return Path(path).resolve().is_relative_to(uploads.resolve())
    except (OSError, RuntimeError, ValueError):  # no such folder, a loop of links, a NUL
        return False

"""Whether pages are read: the extra, the flag, and a server that imports nothing of it before it must."""

import argparse
import logging
import subprocess
import sys

import pytest

from htr.errors import SettingsError
from serving import page_model
from serving.page_model import can_read_pages, pages_name
from tests.servers import ROOT


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_name", default="htr")
    page_model.add_options(parser)
    return parser.parse_args(args)


def test_pages_are_read_by_default_under_their_own_name() -> None:
    assert can_read_pages()
    assert pages_name(options()) == "pages"
    assert pages_name(options("--pages", "letters")) == "letters"
    assert pages_name(options("--pages", "off")) == ""


def test_without_the_extra_lines_are_read_and_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(page_model, "_NEEDED", ("cv2", "no_such_module"))
    with caplog.at_level(logging.WARNING, logger="serving"):
        assert pages_name(options()) == ""
    assert "pip install 'quillflow[pages]'" in caplog.text
    with pytest.raises(SettingsError, match=r"--pages letters: .*quillflow\[pages\]"):
        pages_name(options("--pages", "letters"))
    assert pages_name(options("--pages", "off")) == ""


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(SettingsError, match="--pages htr"):
        pages_name(options("--pages", "htr"))


def test_a_server_of_lines_imports_nothing_of_the_extra() -> None:
    code = """
import sys
import serving.__main__, serving.guard, serving.openapi, serving.predictor, serving.server, serving.readers
found = {"cv2", "pypdfium2", "torch"} & set(sys.modules)
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

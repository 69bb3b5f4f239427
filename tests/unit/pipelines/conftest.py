"""What tests of the pipelines share."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kfp.dsl import pipeline_task


@pytest.fixture(scope="package", autouse=True)
def _kfp_looks_at_one_caller() -> Iterator[None]:
    """Tell kfp its caller's name alone, which is all that it looks at.

    At every limit that a step is given it has the whole call stack described, with sources. Below pytest that is
    some eighty frames and thousands of modules, and nine tenths of the time that compiling takes.
    """

    def stack() -> list[tuple[None, None, None, str]]:
        caller = sys._getframe(2).f_code.co_name
        return [(None, None, None, ""), (None, None, None, caller)]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline_task, "inspect", SimpleNamespace(stack=stack))
        yield

"""A DAG with an exit step: whatever becomes of it, the governor hears of it.

KFP lets nothing out of an exit handler, so the DAG that is run on this machine, whose outputs are wanted, is the
same function without it; there `pipelines.local` tells the governor.
"""

import inspect
from collections.abc import Callable
from typing import Any

from kfp import dsl

from components.report.component import report
from pipelines.placing import place, run_config
from pipelines.site import Site


def reported(steps: Callable[..., Any], *, name: str, description: str, site: Site) -> Any:
    """Return the pipeline of a DAG function with an exit step that reports; one more parameter, ``governor``."""
    signature = inspect.signature(steps)
    governor = inspect.Parameter(
        "governor", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=site.governor, annotation=str
    )

    def whole(*given: Any) -> None:
        told = report(governor=given[-1], pipeline=name)
        place(told, site, "light", asks=["governor"])
        with dsl.ExitHandler(told, name="reported"):
            steps(*given[:-1])

    whole.__name__, whole.__doc__ = steps.__name__, steps.__doc__  # KFP reads what a function says of itself
    parameters = [*signature.parameters.values(), governor]
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return dsl.pipeline(name=name, description=description, pipeline_config=run_config(site))(whole)

"""A DAG and a site in, a compiled pipeline out: IR YAML, or manifests where KFP keeps pipelines in Kubernetes."""

import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htr.errors import SettingsError
from pipelines.site import Site

_ADDRESS = re.compile(r"quillflow\+(s3|file)://.+/lines/[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A compiled pipeline."""

    name: str
    """As KFP lists it."""
    text: str
    """IR YAML: the pipeline, and behind a line of dashes what Kubernetes is asked for beyond it."""

    @property
    def digest(self) -> str:
        """Return 64 hex digits that stand for the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def version(self, commit: str) -> str:
        """Return the name of the pipeline version: the code's commit, and what a site or a change made of it."""
        return f"{commit or 'unknown'}-{self.digest[:8]}"


def compiled(pipeline: str, site: Site, *, contents: str = "") -> Compiled:
    """Compile a pipeline for a site, its report to the governor included.

    Args:
        pipeline: ``training`` or ``search``.
        site: what the cluster wants of the steps.
        contents: as `contents_of` gives it.

    Raises:
        SettingsError: there is no such pipeline.
    """
    name, dag = _dag(pipeline, site, contents)
    from kfp.compiler import Compiler

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        Compiler().compile(dag, str(file))
        return Compiled(name=name, text=file.read_text(encoding="utf-8"))


def compiled_manifests(pipeline: str, site: Site, *, commit: str) -> str:
    """Compile a pipeline as Kubernetes manifests: a Pipeline, and the PipelineVersion of this commit."""
    plain = compiled(pipeline, site)
    name, dag = _dag(pipeline, site, "")
    from kfp.compiler import Compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    version = re.sub(r"[^a-z0-9.-]", "-", plain.version(commit).lower())
    options = KubernetesManifestOptions(
        pipeline_name=name,
        pipeline_display_name=name,
        pipeline_version_name=f"{name}-{version}",
        pipeline_version_display_name=plain.version(commit),
        namespace=site.namespace or None,
        include_pipeline_manifest=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        Compiler().compile(dag, str(file), kubernetes_manifest_format=True, kubernetes_manifest_options=options)
        return file.read_text(encoding="utf-8")


def contents_of(lines: str, corrections: str, held_back: float, image: str, tenant: str = "") -> str:
    """Return what stands for the dataset that these make, or "" where their addresses may hold anything tomorrow.

    Args:
        lines: address of the lines; one of a version in a store names what it holds.
        corrections: likewise, or "".
        held_back: share of the corrections that is held back.
        image: that the step runs in: KFP leaves it out where a key is given, and other code may merge otherwise.
        tenant: whose run it is: who knows the digest of somebody else's lines is not to be given them.
    """
    if not all(_ADDRESS.fullmatch(address) for address in filter(None, (lines, corrections))) or not lines:
        return ""
    digests = [address.rpartition("/")[2] for address in (lines, corrections)]
    return hashlib.sha256(repr([*digests, held_back, image, *filter(None, (tenant,))]).encode()).hexdigest()


def _dag(pipeline: str, site: Site, contents: str) -> tuple[str, Any]:
    from pipelines.reported import reported

    if pipeline == "training":
        from pipelines import training

        steps: Any = training.training_on(site, contents=contents)
        name, description = training.NAME, training.DESCRIPTION
    elif pipeline == "search":
        from pipelines import search

        steps = search.search_on(site, contents=contents)
        name, description = search.NAME, search.DESCRIPTION
    else:
        raise SettingsError(f"no pipeline is called {pipeline!r}; known: training, search")
    return name, reported(steps, name=name, description=description, site=site)

"""Where a champion is deployed to, as one text: a pipeline's parameter.

""                                nowhere: the server on this machine follows the alias by itself
stable[:NAMESPACE/NAME]           the InferenceService that serves everybody
canary[:NAMESPACE/NAME]           the one beside it, without traffic; `python -m monitoring rollout` gives it some
gitops:FOLDER[#NAME]              a patch in a kustomize overlay, for a commit
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from htr.errors import SettingsError
from k8s.cluster.release import CANARY, NAMESPACE, STABLE

Kind = Literal["nowhere", "stable", "canary", "gitops"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One such place."""

    kind: Kind
    namespace: str = NAMESPACE
    name: str = STABLE
    """Of the stable InferenceService; the canary's is NAME-canary."""
    overlay: Path | None = None

    @property
    def canary(self) -> str:
        """Name of the InferenceService beside it."""
        return f"{self.name}-canary" if self.name != STABLE else CANARY

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read such a text.

        Raises:
            SettingsError: it is none.
        """
        kind, colon, rest = text.partition(":")
        if not text:
            return cls(kind="nowhere")
        if kind == "gitops" and rest:
            folder, _, name = rest.partition("#")
            return cls(kind="gitops", overlay=Path(folder), name=name or STABLE)
        if kind in {"stable", "canary"} and not (colon and not rest):
            namespace, slash, name = rest.partition("/")
            if not rest or (slash and namespace and name and "/" not in name):
                return cls(kind=kind, namespace=namespace or NAMESPACE, name=name or STABLE)  # type: ignore[arg-type]
        raise SettingsError(
            f"deploy={text}: expected stable, canary, either with :NAMESPACE/NAME, or gitops:FOLDER"
        )

"""An address in, a JSON6902 patch in a kustomize overlay out, for a controller that applies what is committed.

OVERLAY/bundle-NAME.yaml     one patch of one field; the overlay's kustomization.yaml must name it
"""

import json
import os
import subprocess
from pathlib import Path

from htr.errors import OutputError, SettingsError


def patch_file(overlay: Path, name: str) -> Path:
    """Return where the patch of an InferenceService lies."""
    return overlay / f"bundle-{name}.yaml"


def write_patch(overlay: Path, name: str, uri: str) -> bool:
    """Write the address of a bundle as a patch; whole or not at all.

    Args:
        overlay: a folder with a kustomization.yaml.
        name: the InferenceService.
        uri: the bundle's address.

    Returns:
        Whether the file says something else now.

    Raises:
        SettingsError: no overlay, or its kustomization does not name the patch.
        OutputError: the file cannot be written.
    """
    kustomization = overlay / "kustomization.yaml"
    if not kustomization.is_file():
        raise SettingsError(
            f"{overlay}: no kustomization.yaml there; give the overlay's folder in the working tree"
        )
    file = patch_file(overlay, name)
    if file.name not in kustomization.read_text(encoding="utf-8"):
        raise SettingsError(
            f"{kustomization}: does not name {file.name}, so that nothing would come of it; add under patches: "
            f"`- {{path: {file.name}, target: {{kind: InferenceService, name: {name}}}}}`"
        )
    # `add` sets a field that is there as well as one that is not; a JSON string is a YAML string.
    text = f"- op: add\n  path: /spec/predictor/model/storageUri\n  value: {json.dumps(uri)}\n"
    try:
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            return False
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); fix its rights") from error
    return True


def commit_patch(file: Path, message: str) -> bool:
    """Commit the patch, and nothing else that may be staged; return whether there was anything to commit.

    Raises:
        OutputError: git refuses.
    """
    if not _git(file, "status", "--porcelain", "--", file.name).strip():
        return False
    _git(file, "add", "--", file.name)
    _git(file, "commit", "--quiet", "--message", message, "--", file.name)
    return True


def _git(file: Path, *arguments: str) -> str:
    command = ["git", "-C", str(file.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutputError(f"{file}: git cannot be run ({error})") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise OutputError(f"{file}: git {arguments[0]}: {said}; commit it yourself, or mend the working tree")
    return done.stdout

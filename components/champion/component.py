"""KFP signature of the champion step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def champion(model_name: str, tracking_uri: str, bundle: dsl.Output[dsl.Model]) -> str:
    """Fetch the champion's bundle; return its version, or "" where there is no champion yet."""
    from pathlib import Path

    from components.champion.fetch import fetch_champion
    from components.progress import errors_shown, say

    with errors_shown():
        version = fetch_champion(model_name, tracking_uri, Path(bundle.path))
    bundle.metadata["version"] = version
    say(f"champion: {'version ' + version if version else 'none yet'}")
    return version

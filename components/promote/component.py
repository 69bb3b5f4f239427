"""KFP signature of the promote step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def promote(version: str, compared_with: str, model_name: str, tracking_uri: str) -> None:
    """Make a version the champion, and the one it was compared with the previous."""
    from components.progress import errors_shown, say
    from components.promote.aliases import move_champion

    with errors_shown():
        move_champion(version, compared_with, model_name=model_name, tracking_uri=tracking_uri)
    say(
        f"promote: {model_name} version {version} is champion"
        + (f", {compared_with} previous" * bool(compared_with))
    )

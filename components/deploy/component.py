"""KFP signature of the deploy step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def deploy(target: str, model_name: str, tracking_uri: str, store: str) -> str:
    """Tell what serves on the cluster the champion's bundle, by digest; return its address, or ""."""
    from components.deploy.deploy import deploy_champion
    from components.deploy.target import Target
    from components.progress import errors_shown, say
    from k8s.cluster.api import find_api

    with errors_shown():
        uri, told = deploy_champion(
            Target.parse(target), model_name=model_name, tracking_uri=tracking_uri, store=store, api=find_api
        )
    say(f"deploy: {told}")
    return uri

"""Moving the champion's alias, once and only over the champion that the challenger was compared with."""

from components import tracking
from htr.errors import ServiceError


def move_champion(version: str, compared_with: str, *, model_name: str, tracking_uri: str) -> None:
    """Point ``champion`` to a version and ``previous`` to the old champion. Doing it twice changes nothing.

    Args:
        version: the new champion.
        compared_with: the champion's version when the gate decided; "" for none.
        model_name: registered model.
        tracking_uri: MLflow's; "" takes the environment's.

    Raises:
        ServiceError: another champion was put in place since, or MLflow is away.
    """
    model_name = tracking.registered(model_name)
    with tracking.service(tracking_uri) as client:
        now = tracking.version_at(client, model_name, tracking.CHAMPION)
        current = now.version if now is not None else ""
        if current == version:
            return
        if current != compared_with:
            raise ServiceError(
                f"{model_name}: champion is version {current or 'none'} now, but version {version} was compared "
                f"with {compared_with or 'none'}; run the pipeline again"
            )
        # The old champion's name first: killed in between, it is known twice rather than lost.
        if current:
            client.set_registered_model_alias(model_name, tracking.PREVIOUS, current)
        client.set_registered_model_alias(model_name, tracking.CHAMPION, version)

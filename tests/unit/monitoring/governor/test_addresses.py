from pathlib import Path

import pytest

from htr.errors import ServiceError
from monitoring.governor.addresses import without_user_info
from monitoring.governor.events import Champion
from monitoring.governor.kfp_runs import KfpRuns
from monitoring.governor.measures import PrometheusMeasures
from monitoring.governor.registry import MlflowRegistry

NEW = Champion(version="2", digest="b", previous="1", previous_digest="a")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("at http://ann:s3cret@host:9090/x: away", "at http://host:9090/x: away"),
        ("postgresql+psycopg://ann:p@ss@db/mlflow and http://b@c", "postgresql+psycopg://db/mlflow and http://c"),
        ("sqlite:////work/a@b.db, mail ann@host", "sqlite:////work/a@b.db, mail ann@host"),
        ("nonnumeric port: 's3cret@host'", "nonnumeric port: 'host'"),
    ],
)
def test_names_and_passwords_are_taken_out_and_the_rest_stays(text: str, left: str) -> None:
    assert without_user_info(text, "http://ann:s3cret@host", "sqlite:///x") == left


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
@pytest.mark.parametrize("address", ["http://zoe:s3cret@127.0.0.1", "http://zoe:s3cret@127.0.0.1:9"])
def test_no_client_tells_the_password_of_a_server_that_is_away(address: str) -> None:
    for ask in (
        lambda: PrometheusMeasures(address).compare(NEW, 10.0),
        lambda: MlflowRegistry(tracking_uri=address).champion(),
        lambda: KfpRuns(host=address, package=Path("none")).find("key"),
    ):
        with pytest.raises(ServiceError) as caught:
            ask()
        assert "127.0.0.1" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert "zoe" not in str(caught.value)

"""An account's name in, a token of its for an hour in a secret out, which one pod mounts.

    python -m k8s.cluster.lending --account quillflow-deploy --secret quillflow-deploy-token

Kubeflow Pipelines runs every step of a run as one account and can mount no token of another's, but a secret
(docs/decisions/0034). The token is bound to the secret: where that is removed, the token is worth nothing at once.
"""

import argparse
import base64
import sys
from collections.abc import Sequence

from htr.errors import QuillflowError, ServiceError, SettingsError
from k8s.cluster.api import Api, find_api, path_of

SECONDS = 3600
_LENDER = "quillflow-lending"
_SECRETS, _ACCOUNTS = "v1 secrets", "v1 serviceaccounts"


def lend(api: Api, *, namespace: str, account: str, secret: str, ca: bytes, seconds: int = SECONDS) -> str:
    """Put a new token into a secret; the one before goes on being good until its own end.

    Args:
        api: asked with the rights to make tokens of the account and to change the secret.
        namespace: of both.
        account: whose token.
        secret: that is there already.
        ca: certificates by which Kubernetes' API is known, PEM; they go in beside the token.
        seconds: how long it is good.

    Returns:
        When it ends, as Kubernetes tells it.

    Raises:
        NotThereError: there is no such account or secret.
        ServiceError: the API is away or refuses.
    """
    path = path_of(_SECRETS, namespace, secret)
    uid = api.get(path)["metadata"]["uid"]
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": secret, "uid": uid},
        },
    }
    status = api.ask(f"{path_of(_ACCOUNTS, namespace, account)}/token", asked).get("status", {})
    if not status.get("token"):
        raise ServiceError(f"Kubernetes at {api.url}: an answer without a token for {namespace}/{account}")
    given = {"token": status["token"].encode(), "ca.crt": ca}
    value = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "namespace": namespace},
        "data": {name: base64.b64encode(data).decode() for name, data in given.items()},
    }
    # Nobody else sets these two, and whoever did by hand is overruled: an old token is of no use.
    api.apply(path, value, manager=_LENDER, force=True)
    return str(status.get("expirationTimestamp", ""))


def main(argv: Sequence[str] | None = None) -> int:
    """Lend; return the exit code: 0 done, 2 a mistake that the message explains."""
    parser = argparse.ArgumentParser(prog="python -m k8s.cluster.lending", description="Lend an account's token.")
    parser.add_argument("--account", required=True, help="whose token")
    parser.add_argument("--secret", required=True, help="that it is put into")
    parser.add_argument("--namespace", default="quillflow", help="of both (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long it is good (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        if args.seconds < 600:
            raise SettingsError(f"--seconds {args.seconds}: Kubernetes gives no token for less than 600")
        api = find_api()
        ca = api.ca_file.read_bytes() if api.ca_file is not None else b""
        until = lend(
            api,
            namespace=args.namespace,
            account=args.account,
            secret=args.secret,
            ca=ca,
            seconds=args.seconds,
        )
    except (QuillflowError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{args.secret}: a token of {args.account}, good until {until}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

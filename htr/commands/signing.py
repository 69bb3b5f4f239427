"""The commands about signatures: keys, sign, verify."""

import argparse
from collections.abc import Callable
from pathlib import Path

from htr.signing import PRIVATE_KEY, PUBLIC_KEY, make_keys, sign_bundle, verify_bundle

Say = Callable[[str], None]


def add_parsers(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the parsers; each sets ``handler(args, say) -> exit status``."""
    verb = verbs.add_parser("keys", help="make a pair of keys to sign bundles with")
    verb.add_argument("--out", type=Path, required=True, help=f"folder for {PRIVATE_KEY} and {PUBLIC_KEY}")
    verb.set_defaults(handler=_keys)

    verb = verbs.add_parser("sign", help="sign a bundle: vouch for every byte of it")
    verb.add_argument("bundle", type=Path, help="folder of the bundle")
    verb.add_argument("--key", type=Path, required=True, help="the private key, PEM")
    verb.set_defaults(handler=_sign)

    verb = verbs.add_parser("verify", help="check a bundle's signature; exit status 2 where it does not hold")
    verb.add_argument("bundle", type=Path, help="folder of the bundle")
    verb.add_argument("--key", type=Path, required=True, help="the public key, PEM")
    verb.set_defaults(handler=_verify)


def _keys(args: argparse.Namespace, say: Say) -> int:
    private, public = make_keys(args.out)
    say(f"wrote {private}: keep it where only training reaches it")
    say(f"wrote {public}: give it to every server")
    return 0


def _sign(args: argparse.Namespace, say: Say) -> int:
    say(f"wrote {sign_bundle(args.bundle, args.key)}")
    return 0


def _verify(args: argparse.Namespace, say: Say) -> int:
    verify_bundle(args.bundle, args.key)
    say(f"{args.bundle}: signed with this key, and unchanged since")
    return 0

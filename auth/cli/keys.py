"""flask keys: the keys that sign and verify access tokens."""

import json
import os

import click

from auth.config import Misconfigured, read
from auth.core.keys import ALGORITHMS, Keyring, generate_private_key

from .common import as_json, done

commands = click.Group("keys", help="The keys that sign and verify access tokens.")


@commands.command("generate", help="Print the PEM of a new private key, for JWT_PRIVATE_KEY.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="ES256", show_default=True)
@as_json
def generate(algorithm: str, as_json: bool) -> None:
    pem = generate_private_key(algorithm)
    done({"algorithm": algorithm, "privateKey": pem}, as_json, pem.rstrip("\n"))


@commands.command("show", help="Print the public key set that JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS make.")
@as_json
def show_command(as_json: bool) -> None:
    try:
        jwks = Keyring.of(*read(os.environ, "JWT_PRIVATE_KEY", "JWT_PUBLIC_KEYS").values()).jwks()
    except Misconfigured as problem:
        raise click.ClickException(" ".join(str(problem).splitlines())) from None
    click.echo(json.dumps(jwks, indent=None if as_json else 2))

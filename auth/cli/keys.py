"""flask keys: the keys that sign and verify access tokens."""

import json
import os
from collections.abc import Callable
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth.config import read
from auth.core.keys import ALGORITHMS, Keyring, PrivateKey

from .common import Answer, Group

RSA_BITS: Final = 3072  # 128 bits of strength by NIST SP 800-57, as P-256
GENERATORS: Final[dict[str, Callable[[], PrivateKey]]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, RSA_BITS),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}

commands = Group("keys", help="The keys that sign and verify access tokens.")


@commands.command("generate", help="Print the PEM of a new private key, for JWT_PRIVATE_KEY.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="ES256", show_default=True)
def generate(algorithm: str) -> Answer:
    pem = generate_private_key(algorithm)
    return Answer({"algorithm": algorithm, "privateKey": pem}, [pem.rstrip("\n")])


@commands.command("show", help="Print the public key set that JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS make.")
def show_command() -> Answer:
    jwks = Keyring(*read(os.environ, "JWT_PRIVATE_KEY", "JWT_PUBLIC_KEYS").values()).jwks
    return Answer(jwks, [json.dumps(jwks, indent=2)])


def generate_private_key(algorithm: str) -> str:
    """A new private key for one of `ALGORITHMS`, as PEM (PKCS #8)."""
    return GENERATORS[algorithm]().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

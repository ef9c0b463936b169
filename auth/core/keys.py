"""Signing and verification keys: read from PEM, named by their thumbprint, published as a JSON Web Key Set."""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from jwt.utils import base64url_encode

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")
_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


class VerificationKey:
    """A public key, its algorithm and its RFC 7638 thumbprint, the `kid`. Raises `ValueError` if it is not accepted."""

    def __init__(self, key: object) -> None:
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            self.algorithm = "ES256"
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
            self.algorithm = "RS256"
        elif isinstance(key, ed25519.Ed25519PublicKey):
            self.algorithm = "EdDSA"
        else:
            raise ValueError("must be EC P-256, RSA of 2,048 bits or more, or Ed25519")
        self.key = key
        jwk = get_default_algorithms()[self.algorithm].to_jwk(key, as_dict=True)
        public = {name: jwk[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in jwk}  # RFC 7638 names them
        canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
        self.kid = base64url_encode(hashlib.sha256(canonical).digest()).decode()
        self.jwk: dict[str, Any] = public | {"kid": self.kid, "use": "sig", "alg": self.algorithm}


class Keyring:
    """The key that signs, and by `kid` all keys that verify, its own public key included."""

    def __init__(self, private_key: PrivateKey, others: Iterable[VerificationKey] = ()) -> None:
        self.private_key = private_key
        self.signing = VerificationKey(private_key.public_key())
        self.verifying = {key.kid: key for key in (self.signing, *others)}
        self.jwks = {"keys": [key.jwk for key in self.verifying.values()]}  # the JSON Web Key Set (RFC 7517)


def load_private_key(pem: str) -> PrivateKey:
    """The private key in a PEM whose newlines may be spelled `\\n`. Raises `ValueError` without its content."""
    try:
        key = serialization.load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("must be the unencrypted PEM of a private key; `flask keys generate` makes one") from None
    VerificationKey(key.public_key())
    return cast(PrivateKey, key)


def load_public_keys(pems: str) -> list[VerificationKey]:
    """The public keys of any number of PEM blocks, one after another. Raises `ValueError`."""
    text = pems.replace("\\n", "\n")
    if _PEM_BLOCK.sub("", text).strip():
        raise ValueError("must be nothing but PEM blocks of public keys")
    try:
        keys = [serialization.load_pem_public_key(block.group().encode()) for block in _PEM_BLOCK.finditer(text)]
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be PEMs of public keys (a private key does not belong here)") from None
    return [VerificationKey(key) for key in keys]

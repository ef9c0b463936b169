"""The second factor: one-time codes (RFC 6238), recovery codes, and the keys that encrypt secrets and challenges."""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from auth.core.errors import ScopeNotCovered
from auth.core.models import Role
from auth.core.refresh_tokens import digest
from auth.core.scopes import Scope, all_covered
from auth.core.second_factor_models import InvalidChallenge, SecondFactorUnavailable

CHALLENGE_SECONDS: Final = 10 * 60
RECENT_SECONDS: Final = 15 * 60  # in an older session, a new factor needs the password
CODES: Final = 100  # this many wrong ones in a row block the factor (NIST SP 800-63B-4, 3.2.2)
STEP_SECONDS: Final = 30
DIGITS: Final = 6
SECRET_BYTES: Final = 20
LABEL_BYTES: Final = 255  # of the id in the QR code, which has room for no more in the worst case
RESTRICTED: Final = ["auth.twofactor:write", "sla:write"]  # the scopes of a person who must add a factor first


class LoginChallenge(msgspec.Struct, tag="login"):
    """For a login with the right password. Each change of the password or the factor raises the generation."""

    username: str
    uid: int
    password_generation: int
    service: str


class SetupChallenge(msgspec.Struct, tag="set-up"):
    """A new factor that its owner has not confirmed. Only a confirmed factor is stored in the database."""

    uid: int
    password_generation: int
    session: str  # the only session that may confirm it
    secret: str
    recovery_hash: bytes
    password_needed: bool


class StoredSecret(msgspec.Struct, tag="secret"):
    uid: int  # so that it is of no use in another person's row
    secret: str


Challenge = LoginChallenge | SetupChallenge
_CHALLENGE: Final[msgspec.json.Decoder[Challenge]] = msgspec.json.Decoder(Challenge)
_SECRET: Final = msgspec.json.Decoder(StoredSecret)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}=")


class SecondFactorKeys:
    """Fernet keys: the first encrypts, all decrypt. Without a key, all methods raise `SecondFactorUnavailable`."""

    def __init__(self, *keys: str) -> None:
        """Raises `ValueError` if one of the texts is not a Fernet key."""
        self._keys = [Fernet(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def seal(self, content: msgspec.Struct) -> str:
        return self._all.encrypt(msgspec.json.encode(content)).decode()

    def login_challenge(self, login: Mapping[str, Any]) -> str:
        """The encrypted challenge for the person and the login service in a row of `login_find`."""
        return self.seal(LoginChallenge(login["id"], login["uid"], login["password_generation"], login["name"]))

    def open_challenge(self, text: str) -> Challenge:
        """The content of a challenge. Raises `InvalidChallenge` for other texts, and after `CHALLENGE_SECONDS`."""
        try:
            return _CHALLENGE.decode(self._all.decrypt(text.encode(), CHALLENGE_SECONDS))
        except (InvalidToken, msgspec.MsgspecError):
            raise InvalidChallenge from None

    def open_secret(self, sealed: str, uid: int) -> str:
        """The TOTP secret of that person. Raises `SecondFactorUnavailable`."""
        try:
            stored = _SECRET.decode(self._all.decrypt(sealed))
        except (InvalidToken, msgspec.MsgspecError):
            raise SecondFactorUnavailable(cause="no key opens the secret") from None
        if stored.uid != uid:
            raise SecondFactorUnavailable(cause="the secret is another person's")
        return stored.secret

    def resealed(self, sealed: str, uid: int) -> str:
        """The secret under the first key: `sealed` itself if it already is. Raises `SecondFactorUnavailable`."""
        self.open_secret(sealed, uid)
        try:
            self._keys[0].decrypt(sealed)
        except InvalidToken:
            return self._all.rotate(sealed).decode()
        return sealed

    @property
    def _all(self) -> MultiFernet:
        if not self._keys:
            raise SecondFactorUnavailable(cause="SECOND_FACTOR_KEYS is not set")
        return MultiFernet(self._keys)


def load_keys(text: str) -> SecondFactorKeys:
    """The keys of SECOND_FACTOR_KEYS. Raises `ValueError`."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not all(map(_KEY.fullmatch, keys)):  # Fernet itself ignores what follows a key
        raise ValueError("must be Fernet keys, comma-separated; `flask keys second-factor` makes one")
    return SecondFactorKeys(*keys)


def load_roles(text: str) -> frozenset[str]:
    """The roles of SECOND_FACTOR_REQUIRED. Raises `ValueError`."""
    roles = frozenset(role.strip() for role in text.split(",") if role.strip())
    if not roles <= {Role.USER, Role.ADMIN}:
        raise ValueError("must be USER, ADMIN or both, comma-separated")
    return roles


def generate_secret() -> str:
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def generate_recovery_code() -> str:
    """A new recovery code: 120 random bits as base32, in four groups of six characters."""
    code = base64.b32encode(secrets.token_bytes(15)).decode()
    return "-".join(code[place : place + 6] for place in range(0, len(code), 6))


def recovery_hash(code: str) -> bytes:
    """The SHA-256 that the database stores. Case, spaces and dashes do not matter."""
    return digest(_plain(code))


def otp_auth_uri(secret: str, issuer: str, principal_id: str) -> str:
    """The URI that authenticator apps read."""
    return _totp(secret).get_provisioning_uri(principal_id.encode()[:LABEL_BYTES].decode(errors="ignore"), issuer)


def is_one_time_code(code: str | int) -> bool:
    """Whether it has the form of a code of an app. If not, it can only be a recovery code."""
    text = _plain(code)
    return len(text) == DIGITS and text.isascii() and text.isdigit()


def matching_step(secret: str, code: str | int) -> int | None:
    """The step of the code, if it is the present one or next to it. Only the database knows whether it is spent."""
    totp, now, given = _totp(secret), int(time.time()) // STEP_SECONDS, _plain(code).encode()
    steps = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(totp.generate(step * STEP_SECONDS), given)]
    return max(steps, default=None)


def claims(person: Mapping[str, Any], required_of: Collection[str]) -> dict[str, Any]:
    """The claims about factor and terms; `auth_time` and `amr` only in tokens of the person's own session."""
    has_factor = person["two_factor_authentication"]
    is_missing = not has_factor and person["has_password"] and person["role"] in required_of
    earned = {"twoFactorAuthentication": not is_missing, "serviceLicenseAgreement": person["has_accepted_sla"]}
    if auth_time := person.get("auth_time"):
        earned |= {"auth_time": auth_time, "amr": ["pwd", "otp", "mfa"] if has_factor else ["pwd"]}
    return earned


def allowed_scopes(described: Mapping[str, Any], scopes: Sequence[str], asked: Sequence[Scope]) -> Sequence[str]:
    """`RESTRICTED` if the owner must add a factor, else `scopes`. Narrowed to `asked`. Raises `ScopeNotCovered`."""
    if "amr" in described and not described["twoFactorAuthentication"]:
        scopes = RESTRICTED
    if asked and not all_covered(asked, [Scope.parse(text) for text in scopes]):
        raise ScopeNotCovered
    return [str(scope) for scope in asked] if asked else scopes


def _plain(code: str | int) -> str:
    text = f"{code:0{DIGITS}}" if isinstance(code, int) else code  # a number has lost its leading zeros
    return "".join(text.split()).replace("-", "").upper()


def _totp(secret: str) -> TOTP:
    key = base64.b32decode(secret)
    return TOTP(key, DIGITS, SHA1(), STEP_SECONDS, enforce_key_length=False)  # noqa: S303 - RFC 6238; imported: 80 bits

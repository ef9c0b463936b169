"""The data models and the errors of the calls of the second factor and the terms of use."""

from typing import Annotated

from msgspec import Meta, Struct, field

from auth.core.errors import ApiError, BadRequest, IncorrectCredentials, Unauthorized, Unavailable
from auth.core.models import Password

VerificationCode = Annotated[str, Meta(max_length=100)] | Annotated[int, Meta(ge=0)]


class LoginContinues(Struct):
    """The answer of passwordLogin to a person with a second factor. `answerChallenge` then takes the code."""

    challenge_id: str = field(name="2fa")


class Create2FACredentialsResponse(Struct, rename="camel"):
    otp_auth_uri: str
    qr_code_b64_data: str = field(name="qrCodeB64Data")
    secret: str
    challenge_id: str
    recovery_code: str
    password_needed: bool


class AnswerChallengeRequest(Struct, rename="camel"):
    challenge_id: str
    verification_code: VerificationCode
    current_password: Password | None = None


class Remove2FARequest(Struct, rename="camel"):
    current_password: Password
    verification_code: VerificationCode


class TwoFactorStatus(Struct):
    connected: bool


class Terms(Struct):
    version: int
    text: str


class AcceptTermsRequest(Struct):
    version: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class SecondFactorConnected(BadRequest):
    """This user has a second factor already. Remove it first."""


class SecondFactorNotConnected(BadRequest):
    """This user has no second factor."""


class WrongSlaVersion(BadRequest):
    """This is not the latest version of the terms. Read them again."""


class InvalidChallenge(Unauthorized):
    """This challenge is not valid or has expired. Log in again, or set the second factor up again."""


class IncorrectCode(IncorrectCredentials):
    """Incorrect code"""


class SecondFactorBlocked(ApiError, status=403):
    """Too many wrong codes. Use your recovery code, or set a new password."""


class PasswordNeeded(ApiError, status=403):
    """Your last login was too long ago. Log in again, or send your password too."""


class SecondFactorUnavailable(Unavailable):
    """Second factors cannot be used right now. Try again later."""

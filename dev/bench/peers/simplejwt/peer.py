"""djangorestframework-simplejwt with its blacklist: a refresh token is exchanged for an ES256 access token.

As a program: makes the tables and as many users as its argument says, and prints a request of each.
"""

import json
import os
import sys

import django
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path

private_key = load_pem_private_key(os.environ["JWT_PRIVATE_KEY"].encode(), None)
public_pem = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

settings.configure(
    SECRET_KEY=os.environ["SECRET_KEY"],
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt",
        "rest_framework_simplejwt.token_blacklist",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],  # libpq reads the other PG variables
            "CONN_MAX_AGE": None,
        }
    },
    SIMPLE_JWT={
        "ALGORITHM": "ES256",
        "SIGNING_KEY": os.environ["JWT_PRIVATE_KEY"],
        "VERIFYING_KEY": public_pem.decode(),
    },
    REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
)
django.setup()

from rest_framework_simplejwt.views import TokenRefreshView  # noqa: E402

urlpatterns = [path("refresh", TokenRefreshView.as_view())]
application = get_wsgi_application()


if __name__ == "__main__":
    from django.contrib.auth.models import User
    from rest_framework_simplejwt.tokens import RefreshToken

    call_command("migrate", verbosity=0)
    for number in range(int(sys.argv[1])):
        token = RefreshToken.for_user(User.objects.create(username=f"user-{number}"))
        body = json.dumps({"refresh": str(token)})
        print(json.dumps(["POST", "/refresh", {"Content-Type": "application/json"}, body]))

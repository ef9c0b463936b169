"""The second factor and the terms in the portal of `examples/`, in a real browser, by the keyboard alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from auth.config import Config
from auth.core.models import Role

from .support import sla
from .support.lockouts import FAILURES, WINDOW, fail, pair_key, pass_time
from .support.portal import OpenPortal, Portal, Site, site
from .support.qr_codes import read_qr_code
from .support.second_factor import (
    Authenticator,
    add_factor,
    block_factor,
    challenge_of,
    forget_steps,
    make_older,
)
from .support.world import PASSWORD, World

pytestmark = pytest.mark.xdist_group("portal")

TERMS = "# Terms\n<b>Be kind.</b>\n" + "No hidden text.\n" * 50
OLD = 15 * 60 + 1  # the seconds after which a session needs the password to set a factor up

SignIn = Callable[[str], Portal]


@pytest.fixture(scope="module")
def service(server_url: str, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sla.Site]:
    """With terms that nobody has accepted yet."""
    with sla.own_site(server_url, config) as service:
        sla.publish(service, tmp_path_factory.mktemp("terms"), TERMS.encode())
        yield service


@pytest.fixture(scope="module")
def place(driver: WebDriver, service: sla.Site, environment: dict[str, str]) -> Iterator[Site]:
    """Users need a second factor here, and admins do not."""
    with site({**environment, "DATABASE_URL": service.url, "SECOND_FACTOR_REQUIRED": "USER"}) as place:
        yield place


@pytest.fixture
def world(service: sla.Site) -> World:
    return service.world


@pytest.fixture
def signed_in(open_portal: OpenPortal) -> SignIn:
    def sign_in(user: str) -> Portal:
        portal = open_portal()
        portal.sign_in(user)
        portal.sees("You are signed in.")
        return portal

    return sign_in


def begin(portal: Portal) -> Authenticator:
    """Begin the set-up, and add its secret to an app."""
    portal.press("Set up")
    portal.sees("Scan the QR code")
    return Authenticator(portal.run("return document.getElementById('secret').textContent").replace(" ", ""))


def confirm(portal: Portal, code: str, answer: str) -> None:
    portal.type("First code", code)
    portal.press("Confirm")
    portal.sees(answer)


def enter(portal: Portal, code: str, answer: str) -> None:
    portal.type("Code", code)
    portal.press("Continue")
    portal.sees(answer)


def test_people_set_a_factor_up_sign_in_with_it_and_remove_it(
    signed_in: SignIn, world: World, place: Site, service: sla.Site
) -> None:
    """Each of the three wrong inputs counts as one guess, and one more would make the person wait."""
    user = world.user(Role.ADMIN)
    fail(place.server.client("127.0.0.1"), user, "portal", FAILURES - 4)
    other = world.session(user)
    portal = signed_in(user)
    portal.sees("No second factor is set up.")
    app = begin(portal)
    assert portal.focus == "Second factor"
    portal.wait_until("return document.getElementById('qr-code').naturalWidth")
    picture = portal.run("return document.getElementById('qr-code').src")
    link = portal.run("return document.getElementById('otp-link').href")
    recovery_code = portal.run("return document.getElementById('recovery-code').textContent")
    assert read_qr_code(picture) == link
    assert app.secret in link
    confirm(portal, app.wrong_code(), "The code is wrong, or it has been used before.")
    assert portal.focus == "First code"
    confirm(portal, app.code(), "Your second factor is set up. All other sessions have ended.")
    assert portal.focus == "Second factor"
    portal.sees("A second factor is set up.")
    assert "curl/8" not in portal.text
    place.server.api.refresh(other.refresh_token).refused(401)
    assert not [text for text in (app.secret[:4], recovery_code[:6], picture, link) if text in portal.html]

    portal.press("Sign out")
    forget_steps(service.url, user)
    portal.sign_in(user)
    portal.sees("Enter your code")
    assert portal.focus == "Code"
    enter(portal, app.wrong_code(), "The code is wrong, or it has been used before.")
    assert portal.focus == "Code"
    enter(portal, app.code(), "You are signed in.")
    assert portal.focus == "Welcome, Ada"

    forget_steps(service.url, user)
    for password, answer, focus in (
        ("wrong", "The password is wrong.", "Your password"),
        (PASSWORD, "Your second factor is removed. All other sessions have ended.", "Second factor"),
    ):
        portal.type("Your password", password)
        portal.type("Code", app.code())
        portal.press("Remove the second factor")
        portal.sees(answer)
        assert portal.focus == focus
    portal.sees("No second factor is set up.")


def test_the_copied_recovery_code_signs_in_and_removes_the_factor(
    signed_in: SignIn, world: World, service: sla.Site
) -> None:
    user = world.user(Role.ADMIN)
    portal = signed_in(user)
    app = begin(portal)
    portal.press("Copy the recovery code")
    portal.sees("The recovery code is copied.")
    confirm(portal, app.code(), "A second factor is set up.")
    portal.press("Sign out")
    portal.sign_in(user)
    block_factor(service.url, user)
    enter(portal, app.code(1), "Too many wrong codes. Use the recovery code.")
    portal.press("Use the recovery code")
    assert portal.focus == "Recovery code"
    portal.paste("Recovery code")
    portal.press("Continue")
    portal.sees("You are signed in. The recovery code has removed your second factor.")
    portal.sees("No second factor is set up.")


def test_why_a_code_is_refused(open_portal: OpenPortal, world: World, place: Site, service: sla.Site) -> None:
    client, user = place.server.client("127.0.0.1"), world.user(Role.ADMIN)
    app, portal = add_factor(client, world.session(user)).app, open_portal()
    portal.sign_in(user)
    portal.sees("Enter your code")
    challenge = challenge_of(client, user, "portal")
    for _ in range(FAILURES):
        client.answer_challenge(challenge, app.wrong_code()).refused(401, "INCORRECT_CODE")
    enter(portal, app.code(), "Too many attempts. Try again in")
    pass_time(service.url, WINDOW, pair_key("127.0.0.1", user))
    with psycopg.connect(service.url) as connection:
        connection.execute("UPDATE second_factor SET secret = 'x' WHERE principal_id = %s", [user])
    enter(portal, app.code(), "Second factors cannot be used right now. Please try again later.")
    service.flask.run("users", "reset-second-factor", user)
    enter(portal, app.code(), "This step has expired, or your account has changed. Please begin again.")
    assert portal.focus == "Sign in"
    portal.sign_in(user)
    portal.sees("You are signed in.")


def test_a_required_factor_comes_before_everything_else(signed_in: SignIn, world: World, service: sla.Site) -> None:
    """The session is old when the set-up begins, so that it needs the password."""
    user = world.user()
    portal = signed_in(user)
    need = "You need a second factor before you can go on."
    portal.sees(need)
    assert not [text for text in ("Files", "Backup", "My sessions", "Change password") if text in portal.text]
    make_older(service.url, world.session(user), OLD)
    app = begin(portal)
    portal.type("Your password", "wrong")
    confirm(portal, app.code(), "The password is wrong.")
    assert portal.focus == "Your password"
    portal.type("Your password", PASSWORD)
    portal.press("Confirm")
    for text in ("Your second factor is set up.", "travel-plan.txt", "Chrome on Linux this one", "Change password"):
        portal.sees(text)
    forget_steps(service.url, user)
    portal.type("Your password", PASSWORD)
    portal.type("Code", app.code())
    portal.press("Remove the second factor")
    portal.sees(need)
    assert "Files" not in portal.text


def test_a_requirement_may_come_while_people_are_signed_in(signed_in: SignIn, world: World, service: sla.Site) -> None:
    user = world.user(Role.ADMIN)
    portal = signed_in(user)
    portal.sees("travel-plan.txt")
    with psycopg.connect(service.url) as connection:
        connection.execute("UPDATE principal SET role = 'USER' WHERE id = %s", [user])
    portal.run("const now = Date.now; Date.now = () => now() + 600_000")  # the access token has expired
    portal.press("Start a backup")
    portal.sees("You need a second factor before you can go on.")
    assert "travel-plan.txt" not in portal.text


def test_people_accept_the_latest_terms(
    signed_in: SignIn, world: World, service: sla.Site, tmp_path: Path
) -> None:  # fmt: skip
    portal = signed_in(world.user(Role.ADMIN))
    portal.sees("<b>Be kind.</b>")
    sla.publish(service, tmp_path, TERMS.replace("kind", "brave").encode())
    portal.press("Accept")
    portal.sees("The terms have changed. Please read them again.")
    assert portal.focus == "Terms of use"
    portal.sees("<b>Be brave.</b>")
    portal.press("Accept")
    portal.sees("You have accepted the terms.")
    assert "Terms of use" not in portal.text
    portal.reload()
    portal.sees("travel-plan.txt")
    assert "Terms of use" not in portal.text


def test_everybody_can_use_it(open_portal: OpenPortal, world: World, service: sla.Site) -> None:
    """By WCAG 2.2 AA in both colour schemes, and on a narrow screen without scrolling sideways."""

    def check() -> None:
        for scheme in ("light", "dark"):
            portal.colours(scheme)
            assert (portal.violations(), portal.overflow()) == ([], 0)

    user, portal = world.user(), open_portal()
    portal.size(360)
    portal.sign_in(user)
    portal.sees("Terms of use")
    make_older(service.url, world.session(user), OLD)
    app = begin(portal)
    portal.type("Your password", PASSWORD)
    confirm(portal, app.wrong_code(), "The code is wrong")
    check()
    confirm(portal, app.code(), "A second factor is set up.")
    check()
    portal.press("Sign out")
    portal.sign_in(user)
    portal.sees("Enter your code")
    enter(portal, app.wrong_code(), "The code is wrong")
    check()

"""The portal of `examples/` in a real browser, by the keyboard alone."""

import hashlib
import os
from collections.abc import Iterator

import psycopg
import pytest
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.remote.webdriver import WebDriver

from auth.rpcs import scripts
from examples.portal import FILES, jobs

from .support.command_line import CommandLine
from .support.guide import blocks
from .support.lockouts import FAILURES, WINDOW, block, fail, pair_key, pass_time
from .support.portal import OpenPortal, Portal, Site, site
from .support.rows import add_delegations
from .support.servers import PROJECT
from .support.world import PASSWORD, World

pytestmark = pytest.mark.xdist_group("portal")

PICTURES = PROJECT / "docs" / "pictures"
PICTURE_BYTES = 60_000
NEW_PASSWORD = "a lighthouse without its stairs"
ADA = "ada@example.org"
AGED = """
    UPDATE refresh_token
    SET created_at = now() - interval '3 days', last_used_at = now() - interval '2 hours'
    WHERE principal_id = %s
"""
AWAY = "The sign-in service cannot be reached. You stay signed in."


@pytest.fixture(scope="module")
def place(driver: WebDriver, environment: dict[str, str]) -> Iterator[Site]:
    jobs.PAUSE_SECONDS = 0.1
    with site(environment) as place:
        yield place


@pytest.fixture
def signed_in(open_portal: OpenPortal, world: World) -> Portal:
    portal = open_portal()
    portal.sign_in(world.user())
    portal.sees("You are signed in.")
    return portal


def test_tabs_sign_in_and_out_together(open_portal: OpenPortal, world: World) -> None:
    first, user = open_portal(), world.user()
    first.sign_in(user)
    first.sees("You are signed in.")
    assert first.focus == "Welcome, Ada"
    second = open_portal()
    second.sees("Welcome, Ada")
    first.reload()
    first.sees("Welcome, Ada")
    first.press("Sign out")
    first.sees("You are signed out.")
    assert first.focus == "Sign in"
    second.sees("User name")
    second.sign_in(user)
    second.sees("You are signed in.")
    first.sees("Welcome, Ada")


def test_no_script_finds_a_token_that_opens_a_session(signed_in: Portal) -> None:
    assert signed_in.run("return [localStorage.length, sessionStorage.length]") == [0, 0]
    assert signed_in.run("return document.cookie.split('; ').map((cookie) => cookie.split('=')[0])") == ["portal-csrf"]


def test_a_wrong_password_shows_a_message(open_portal: OpenPortal, world: World) -> None:
    portal = open_portal()
    portal.sign_in(world.user(), "wrong")
    portal.sees("User name or password is wrong.")
    assert portal.focus == "Password"


def test_a_wait_counts_down(open_portal: OpenPortal, world: World, database_url: str) -> None:
    portal, user = open_portal(), world.user()
    block(database_url, pair_key("127.0.0.1", user))
    portal.sign_in(user)
    portal.sees("Too many attempts. Try again in")
    seconds = "Number(document.querySelector('.countdown').textContent.match(/[0-9]+/))"
    portal.wait_until(f"return {seconds} < arguments[0]", portal.run(f"return {seconds}"))
    portal.run(f"const now = Date.now; Date.now = () => now() + {WINDOW * 1000}")
    portal.sees("You can try again now.")
    pass_time(database_url, WINDOW, pair_key("127.0.0.1", user))
    portal.press("Sign in")
    portal.sees("You are signed in.")


def test_while_the_service_is_away_people_stay_signed_in(signed_in: Portal, place: Site) -> None:
    signed_in.press("Start a backup")
    signed_in.sees("Running")
    with place.away():
        signed_in.press("End what _portal does for me")
        signed_in.sees(AWAY)
        signed_in.sees("Waiting for the sign-in service")
        signed_in.reload()
        signed_in.sees(AWAY)
    signed_in.sees("The sign-in service is back.")
    signed_in.sees("Running")
    assert AWAY not in signed_in.text


def test_a_sign_in_during_an_outage_shows_a_message(open_portal: OpenPortal, world: World, driver: WebDriver) -> None:
    portal = open_portal()
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/auth/login"]})
    portal.sign_in(world.user())
    portal.sees("The sign-in service cannot be reached. Please try again in a moment.")
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    portal.press("Sign in")
    portal.sees("You are signed in.")
    assert "cannot be reached" not in portal.text


def test_a_link_opens_its_file_once(signed_in: Portal, driver: WebDriver) -> None:
    signed_in.press("Create a link to bread-recipe.txt")
    signed_in.sees("The link to bread-recipe.txt is ready.")
    assert signed_in.focus == "Open once: bread-recipe.txt"
    tabs = set(driver.window_handles)
    signed_in.press("Open once: bread-recipe.txt")
    signed_in.wait_for_tab(tabs)
    signed_in.sees(FILES["bread-recipe.txt"].strip())
    signed_in.reload()
    signed_in.sees("This token has been used before.")


def test_people_see_their_sessions_and_end_them(open_portal: OpenPortal, world: World, place: Site) -> None:
    user = world.user()
    agents = ("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0", "curl/8", "wget/1")
    firefox, curl, wget = (world.session(user, user_agent=agent) for agent in agents)
    portal = open_portal()
    portal.sign_in(user)
    portal.sees("You are signed in.")
    portal.sees("Chrome on Linux this one")
    portal.press("End the session of Firefox on Windows at 203.0.113.7")
    portal.sees("The session has ended.")
    assert portal.focus == "My sessions"
    place.server.api.refresh(firefox.refresh_token).refused(401)
    place.server.api.refresh(curl.refresh_token).ok()
    portal.press("End all others")
    portal.sees("All other sessions have ended.")
    assert portal.focus == "My sessions"
    for other in (curl, wget):
        place.server.api.refresh(other.refresh_token).refused(401)
    portal.reload()
    portal.sees("Chrome on Linux this one")


def test_a_session_that_has_just_ended_may_be_ended(open_portal: OpenPortal, world: World, place: Site) -> None:
    user = world.user()
    other = world.session(user)
    portal = open_portal()
    portal.sign_in(user)
    portal.sees("You are signed in.")
    place.server.api.logout(other.refresh_token).ok()
    portal.press("End the session of curl/8 at 203.0.113.7")
    portal.sees("The session has ended.")
    assert "curl/8" not in portal.text


def test_a_session_that_ended_elsewhere_leads_to_the_form(signed_in: Portal, place: Site) -> None:
    token = place.server.api.login(signed_in.user, PASSWORD, "portal").ok()["accessToken"]
    place.server.api.invalidate_sessions(token).ok()
    signed_in.press("Create a link to bread-recipe.txt")
    signed_in.sees("Your session has ended. Please sign in again.")
    assert signed_in.focus == "Sign in"


def test_a_job_goes_on_after_sign_out_until_its_owner_ends_it(signed_in: Portal) -> None:
    user = signed_in.user
    signed_in.press("Start a backup")
    signed_in.sees("The backup has started.")
    assert signed_in.focus == "Backup"
    signed_in.sees("_portal files.list:read")
    signed_in.press("Sign out")
    signed_in.sees("You are signed out.")
    before = signed_in.backups()
    signed_in.sign_in(user)
    signed_in.sees("You are signed in.")
    signed_in.sees("Running")
    assert signed_in.backups() > before
    signed_in.press("End what _portal does for me")
    signed_in.sees("Ended. It no longer acts for you.")
    assert signed_in.focus == "Who acts for me"
    signed_in.sees("No service and no script acts for you.")
    signed_in.wait_until("return document.querySelector('#jobs .ended')")


def make_token(portal: Portal, title: str, answer: str, focus: str) -> None:
    portal.type("Title", title)
    portal.press("Make a token")
    portal.sees(answer)
    assert portal.focus == focus


def test_people_make_a_token_for_a_script_and_end_it(signed_in: Portal, place: Site) -> None:
    signed_in.type("Days until it expires", "7")
    make_token(signed_in, "nightly backup", "The token is ready.", "Copy the token")
    token = signed_in.run("return document.getElementById('token').textContent")
    signed_in.press("Copy the token")
    signed_in.sees("The token is copied.")
    signed_in.paste("Title")
    assert signed_in.run("return document.getElementById('token-title').value") == token
    place.server.api.refresh(token).ok()
    make_token(signed_in, "x" * 101, "The title is too long.", "Title")
    assert token not in signed_in.html
    signed_in.reload()
    signed_in.sees("nightly backup files:read script\nsince just now · last used just now · expires in 7 days")
    signed_in.press("End what nightly backup does for me")
    signed_in.sees("No service and no script acts for you.")
    assert signed_in.focus == "Who acts for me"
    place.server.api.refresh(token).refused(401)


def test_nobody_after_them_sees_a_new_token(signed_in: Portal, open_portal: OpenPortal, database_url: str) -> None:
    """Not even where another tab signs out. The token is their last one."""
    make_token(signed_in, "another", "The token is ready.", "Copy the token")
    assert "uap_" in signed_in.html
    other = open_portal()
    other.sees("another files:read script")
    add_delegations(database_url, signed_in.user, signed_in.user, scripts.TOKENS - 1)
    make_token(other, "one too many", "You have 100 tokens, which is the most.", "Title")
    other.press("Sign out")
    signed_in.sees("User name")
    assert "uap_" not in signed_in.html


def test_people_change_their_password(signed_in: Portal, place: Site) -> None:
    """A wrong current password counts as one guess, and one more would make them wait."""
    fail(place.server.client("127.0.0.1"), signed_in.user, "portal", FAILURES - 2)

    def change(current: str, new: str, answer: str, focus: str) -> None:
        signed_in.type("Current password", current)
        signed_in.type("New password", new)
        signed_in.press("Change password")
        signed_in.sees(answer)
        assert signed_in.focus == focus

    change("wrong", NEW_PASSWORD, "The current password is wrong.", "Current password")
    change(PASSWORD, "short", "Use at least 15 characters.", "New password")
    change(PASSWORD, "passwordpassword", "The new password is too easy to guess.", "New password")
    change(PASSWORD, NEW_PASSWORD, "Your password has changed.", "Change password")
    place.server.api.login(signed_in.user, NEW_PASSWORD, "portal").ok()


def test_the_guides_page_signs_in_and_out(open_portal: OpenPortal, world: World, place: Site) -> None:
    portal, user = open_portal(), world.user()
    [code] = [block for block in blocks("js") if "signIn" in block]
    names = "window.guide = { signIn, refresh, signOut, tokens: () => tokens }"
    portal.run(code.replace("https://auth.example.org", f"http://localhost:{place.server.port}") + names)
    with pytest.raises(JavascriptException):
        portal.run("return guide.signIn(...arguments)", user, "wrong")
    portal.run("return guide.signIn(...arguments)", user, PASSWORD)
    before = portal.run("return guide.tokens()")
    after = portal.run("return guide.refresh().then(guide.tokens)")
    assert after["accessToken"] != before["accessToken"]
    portal.run("return guide.signOut()")
    place.server.api.sessions(after["accessToken"]).refused(401)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(open_portal: OpenPortal, world: World, scheme: str) -> None:
    """By WCAG 2.2 AA in both colour schemes, and on a narrow screen without scrolling sideways."""
    user = world.user()
    world.session(user, user_agent="a-program-with-a-very-long-name-without-any-spaces/1.0")
    portal = open_portal()
    portal.colours(scheme)
    portal.size(360)
    portal.sign_in(user, "wrong")
    portal.sees("User name or password is wrong.")
    assert portal.violations() == []
    assert portal.overflow() == 0
    portal.sign_in(user)
    portal.sees("You are signed in.")
    portal.press("Start a backup")
    portal.sees("_portal files.list:read")
    portal.press("Create a link to bread-recipe.txt")
    portal.sees("Open once")
    make_token(portal, "a-script-with-a-very-long-title-without-any-spaces", "The token is ready.", "Copy the token")
    assert portal.violations() == []
    assert portal.overflow() == 0


def test_the_pictures_show_the_page(
    open_portal: OpenPortal, world: World, flask: CommandLine, database_url: str
) -> None:
    """`make pictures` takes them; without it the story is the same."""
    name = ("--first-names", "Ada", "--last-name", "Lovelace")
    flask.run("users", "create", ADA, "--role", "USER", *name, "--password-stdin", stdin=PASSWORD)
    world.session(ADA, ip_address="203.0.113.7", user_agent="Mozilla/5.0 (Windows NT 10.0) Firefox/140.0")
    world.session(ADA, ip_address="198.51.100.24", user_agent="Mozilla/5.0 (iPhone) Safari/605.1")
    with psycopg.connect(database_url) as connection:
        connection.execute(AGED, [ADA])
    portal = open_portal()
    portal.size(1000, 720)
    portal.sign_in(ADA)
    portal.sees("You are signed in.")
    portal.sees("Safari on iPhone")
    make_token(portal, "nightly backup", "The token is ready.", "Copy the token")
    portal.press("Start a backup")
    portal.sees("_portal files.list:read")
    portal.press("Create a link to travel-plan.txt")
    portal.sees("Open once")
    take(portal, "portal")
    portal.colours("dark")
    portal.size(360, 720)
    portal.run("document.getElementById('delegations-title').scrollIntoView()")
    take(portal, "phone")
    portal.colours("light")
    portal.size(520, 900)
    portal.press("Set up")
    portal.sees("Scan the QR code")
    portal.run("document.getElementById('confirm').closest('section').scrollIntoView()")
    take(portal, "second-factor")


def take(portal: Portal, name: str) -> None:
    portal.run("document.getElementById('status').textContent = ''")
    picture = portal.picture()
    assert len(picture) <= PICTURE_BYTES
    if "PICTURES" in os.environ:
        (PICTURES / f"{name}.webp").write_bytes(picture)
        (PICTURES / "page.sha256").write_text(f"{digest()}\n")


def test_the_pictures_are_of_this_page() -> None:
    assert (PICTURES / "page.sha256").read_text().strip() == digest(), "run `make pictures`"
    for name in ("portal", "phone", "second-factor"):
        assert 0 < (PICTURES / f"{name}.webp").stat().st_size <= PICTURE_BYTES


def digest() -> str:
    """SHA-256 of the files of the page."""
    files = sorted((PROJECT / "examples" / "portal" / "page").iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

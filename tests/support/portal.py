"""The portal of `examples/` beside a service, and a person who uses it in a browser by the keyboard alone."""

import base64
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug.serving import make_server

from examples.portal import create_app

from .browser import SECONDS, Page, chromium
from .command_line import CommandLine
from .programs import missing
from .servers import BIN, Server, free_port
from .world import PASSWORD

AXE = BIN.parent / "node_modules" / "axe-core" / "axe.min.js"
STEPS_TO = """
const nameOf = (element) => element.ariaLabel ?? element.labels?.[0]?.textContent ?? element.textContent;
const all = [...document.querySelectorAll("a[href], button, input, [tabindex='0']")];
const controls = all.filter((element) => element.checkVisibility());
const target = controls.find((element) => nameOf(element).trim() === arguments[0]);
if (!target) return null;
const here = document.activeElement;
const isBefore = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
const backwards = isBefore(target, here) && here !== document.body;
const between = controls.filter((control) => isBefore(control, target) !== isBefore(control, here) && control !== here);
return [target === here ? 0 : between.length + (backwards ? 0 : 1), backwards];
"""  # how often to press Tab, and whether with Shift


@dataclass
class Site:
    """Where the portal is, and the service that it uses."""

    address: str
    environment: Mapping[str, str]
    server: Server

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stops the service for the time of the block."""
        self.stop_service()
        try:
            yield
        finally:
            self.server = Server(self.environment, port=self.server.port)
            self.server.wait_until_up()

    def stop_service(self) -> None:
        """At once: a graceful stop would wait for the browser's idle connections."""
        self.server.process.send_signal(signal.SIGINT)
        self.server.process.wait(30)


@contextmanager
def site(environment: Mapping[str, str]) -> Iterator[Site]:
    """A service and the portal. What the portal needs is made by the commands that an operator would use."""
    flask = CommandLine({"DATABASE_URL": environment["DATABASE_URL"]})
    port = free_port()
    address = f"http://localhost:{port}"
    flask.json("login-services", "create", "portal", "--endpoint", address, "--mode", "WEB")
    refresh_token = flask.json("services", "create", "_portal", "--scope", "files:read")["refreshToken"]
    environment = {**environment, "TRUSTED_ORIGINS": address, "COOKIE_SECURE": "0"}
    opened = Site(address, environment, Server(environment))
    portal = create_app(f"http://localhost:{opened.server.port}", refresh_token)
    with make_server("127.0.0.1", port, portal, threaded=True) as server:
        threading.Thread(target=server.serve_forever, args=[0.05]).start()
        opened.server.wait_until_up()
        yield opened
        flask.run("services", "delete", "_portal")  # ends the jobs
        for thread in [thread for thread in threading.enumerate() if thread.name == "portal job"]:
            thread.join()
        server.shutdown()
    opened.stop_service()


class Portal(Page):
    """A tab with the portal in it, and a person at the keyboard."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        super().__init__(driver, url)

    def sign_in(self, user: str, password: str = PASSWORD) -> None:
        self.type("User name", user)
        self.type("Password", password)
        self.press("Sign in")

    def press(self, name: str) -> None:
        self.go_to(name)
        self._keys(Keys.ENTER)

    def type(self, label: str, text: str) -> None:
        """What was in the field is selected when the focus comes by Tab, and so it is replaced."""
        self.go_to(label)
        self.run("document.activeElement.select()")
        self._keys(text)

    def paste(self, label: str) -> None:
        self.go_to(label)
        ActionChains(self.driver).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL).perform()

    def go_to(self, name: str) -> None:
        """Move the focus to that control, by Tab or Shift-Tab."""
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self._tab_to(name), name)

    @property
    def focus(self) -> str:
        """The accessible name of the element that has the focus."""
        return self.driver.switch_to.active_element.accessible_name

    def sees(self, text: str) -> None:
        self.wait_until(f"return document.body.innerText.includes({text!r})")

    @property
    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    @property
    def html(self) -> str:
        """All of the page, also what is hidden."""
        return str(self.run("return document.documentElement.outerHTML"))

    @property
    def user(self) -> str:
        """Who is signed in."""
        return str(self.run("return document.getElementById('name').textContent"))

    def backups(self) -> int:
        """How many backups the list last showed."""
        return int(self.run("return document.getElementById('jobs').textContent.match(/(\\d+) backup/)[1]"))

    def wait_for_tab(self, known: set[str]) -> None:
        """Go on in the tab that a link opens beside the known ones."""
        wait = WebDriverWait(self.driver, SECONDS, 0.05)
        self._tab = wait.until(lambda driver: [*set(driver.window_handles) - known])[0]

    def reload(self) -> None:
        self.visit(self.run("return location.href"))

    def colours(self, scheme: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def size(self, width: int, height: int = 800) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})  # as on a phone
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def picture(self) -> bytes:
        """The window as a WebP, which is a third of the same PNG."""
        self.driver.switch_to.window(self._tab)
        options = {"format": "webp", "quality": 90}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])

    def violations(self) -> list[tuple[str, Any]]:
        """The rules of WCAG 2.2 AA, and of good practice, that axe-core finds broken, and where."""
        if not self.run("return 'axe' in window"):
            self.run(_axe())
        found = self.run("return axe.run().then((results) => results.violations)")
        return [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in found]

    def _tab_to(self, name: str) -> bool:
        """Whether the focus comes there; a list that was loaded meanwhile may have moved it."""
        steps, backwards = self.wait_until(STEPS_TO, name)
        chain = ActionChains(self.driver)
        if backwards:
            chain = chain.key_down(Keys.SHIFT)
        chain.send_keys(Keys.TAB * steps).key_up(Keys.SHIFT).perform()
        return self.focus == name

    def _keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()


OpenPortal = Callable[[], Portal]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def open_portal(driver: WebDriver, place: Site) -> Iterator[OpenPortal]:
    """Opens the portal of the module's `place` in a new tab of a browser that has no cookies yet."""
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    first = driver.current_window_handle
    yield partial(Portal, driver, place.address)
    for tab in set(driver.window_handles) - {first}:
        driver.switch_to.window(tab)
        driver.close()
    driver.switch_to.window(first)


def _axe() -> str:
    if not AXE.exists():
        missing("axe-core: `make install`, which needs npm")
    return AXE.read_text()

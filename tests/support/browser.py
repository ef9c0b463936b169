"""A real browser, Debian's Chromium, and a page in it that calls the service as a web application would."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug import Request, Response
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.serving import make_server

from .api import Answer, Api, Headers, any_address
from .programs import program
from .servers import free_port, serving

PAGE = Template((Path(__file__).parent / "page.html").read_text())
SECONDS = 20  # that anything in the browser may take
SWITCHES = [
    "--headless=new",
    "--no-sandbox",  # which root cannot have; only pages of our own are opened
    "--no-proxy-server",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(profile: Path) -> Iterator[WebDriver]:
    """A browser with an empty profile. Without Chromium, the test is skipped: see `program`."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium")
    for switch in [*SWITCHES, f"--user-data-dir={profile}"]:
        options.add_argument(switch)
    driver = program("chromedriver", "chromium-driver")  # named, so that Selenium downloads none
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        chrome.set_script_timeout(SECONDS)
        chrome.set_page_load_timeout(SECONDS)
        yield chrome


@dataclass(frozen=True)
class Web:
    """The URLs of the service with its own pages, of a page with a trusted origin, and of one with an unknown one."""

    service: str
    trusted: str
    unknown: str
    anybody: Api  # some other client of the service


@contextmanager
def neighbours(environment: Mapping[str, str]) -> Iterator[Web]:
    """All of them on localhost: browsers treat it like https, and all of its ports as one site."""
    service, trusted, unknown = (f"http://localhost:{free_port()}" for _ in range(3))
    with (
        serving({**environment, "TRUSTED_ORIGINS": f"{service},{trusted}"}) as [server],
        _pages(service, service, upstream=server.port),
        _pages(trusted, service),
        _pages(unknown, service),
    ):
        yield Web(service, trusted, unknown, server.api)


@contextmanager
def _pages(origin: str, service: str, upstream: int | None = None) -> Iterator[None]:
    """Serves the page at every path; before an upstream, whose port it is, all of `/auth/` is passed on to that."""

    @Request.application
    def page(request: Request) -> Response:
        headers = {"Referrer-Policy": request.args.get("policy", "")}
        return Response(PAGE.substitute(service=service), headers=headers, mimetype="text/html")

    target = {
        "target": f"http://127.0.0.1:{upstream}",
        "host": None,  # it stays the browser's
        "headers": {"X-Forwarded-For": any_address()},
    }
    app = ProxyMiddleware(page, {} if upstream is None else {"/auth/": target})
    server = make_server("127.0.0.1", int(origin.rpartition(":")[2]), app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Page:
    """A tab of the browser with the page in it."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        driver.switch_to.new_window("tab")
        self._driver = driver
        self._tab = driver.current_window_handle
        self.api = Api(self._send)
        driver.get(url)

    def visit(self, url: str) -> None:
        self._driver.switch_to.window(self._tab)
        self._driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """What the script returns, or its promise comes to. Raises `JavascriptException` where it fails."""
        self._driver.switch_to.window(self._tab)
        return self._driver.execute_script(script, *arguments)

    def refresh(self, csrf: str | None) -> Answer:
        return self.api.web_refresh(None, csrf, None)  # the browser adds the cookie and the origin

    def logout(self, csrf: str | None) -> Answer:
        return self.api.web_logout(None, csrf, None)

    def submit(self, **fields: str) -> None:
        """Fill the form in, by the keyboard, and press its button."""
        self._driver.switch_to.window(self._tab)
        for name, value in fields.items():
            self._driver.find_element(By.NAME, name).send_keys(value)
        self._driver.find_element(By.TAG_NAME, "button").click()

    def wait_until(self, script: str, *arguments: object) -> Any:
        """The first true value that the script returns, in the page that is loaded by then."""
        leaving = [WebDriverException]  # a page that is on its way out runs nothing
        return WebDriverWait(self._driver, SECONDS, 0.05, leaving).until(lambda _: self.run(script, *arguments))

    @property
    def cookies(self) -> dict[str, dict[str, object]]:
        """All cookies that the browser would send to this page's host, also those that no script can read."""
        self._driver.switch_to.window(self._tab)
        return {cookie["name"]: cookie for cookie in self._driver.get_cookies()}

    def _send(self, method: str, path: str, headers: Headers, body: bytes | None) -> Answer:
        text = None if body is None else body.decode()
        status, received, content = self.run("return send(...arguments)", method, path, dict(headers), text)
        return Answer(status, [(name.title(), value) for name, value in received], content.encode())

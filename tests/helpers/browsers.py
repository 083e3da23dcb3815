"""A headless browser, and tabs that keep every complaint; the fixtures are for all tests (see tests/conftest.py)."""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser; none installed is a skip, or a failure where RESLAB_BROWSER=required says so."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("RESLAB_BROWSER") == "required":
            pytest.fail("RESLAB_BROWSER=required, but no chromium is installed")
        pytest.skip("no chromium is installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=quiet)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        with running(loop):
            browser.close()


@contextmanager
def running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Playwright leaves its event loop marked as running, and no later test could run one: mark it here alone."""
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


class Tab:
    """A browser tab that keeps every complaint and every request beyond the page itself."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.page.set_default_timeout(120_000)  # milliseconds: three browsers on two busy cores take over 30 seconds
        self.noise: list[str] = []
        self.page.on("console", lambda m: self.noise.append(f"console {m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.noise.append(f"page error: {e}"))
        self.page.on("requestfailed", self.failed)
        self.page.on("request", lambda r: self.seen(r.url))
        self.allowed: set[str] = set()
        self.home = ""  # the address of a server from which everything may come

    def failed(self, request: Any) -> None:
        if request.url.endswith("/icon.svg") and request.failure == "net::ERR_ABORTED":
            return  # the tab went on to another page before it had its icon
        self.noise.append(f"failed: {request.url}")

    def seen(self, url: str) -> None:
        own = self.home and url.startswith((self.home, f"blob:{self.home}"))
        if url not in self.allowed and not own and not url.startswith("data:"):
            self.noise.append(f"request: {url}")

    def open(self, path: Path) -> Any:
        """Open a page, which may load only itself and the script beside it, and wait until its figures stand."""
        script = re.search(r'<script src="((?:\.\./)?reslab-plotly-[\d.]+\.js)">', path.read_text(errors="replace"))
        self.allowed = {path.as_uri(), (path.parent / script[1]).resolve().as_uri() if script else ""}
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html.ready", state="attached")
        return self.page

    def visit(self, home: str, path: str = "") -> Any:
        """Open a page of a server, which may load anything from there and nothing from elsewhere."""
        self.home = home
        self.page.goto(home + path)
        return self.page


@pytest.fixture
def tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """tab(**options of the page): a new tab, closed at the end."""
    browser, loop = chromium
    opened: list[Tab] = []

    def make(**options: Any) -> Tab:
        opened.append(Tab(browser, **options))
        return opened[-1]

    with running(loop):
        yield make
        for one in opened:
            one.page.close()

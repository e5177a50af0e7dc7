"""A real JupyterLab in a real Chromium, driven by the keyboard: the harness of the browser tests.

A test asks for the fixture ``lab`` and opens a notebook by its stem::

    def test_bits_slider_redraws_the_histogram(lab):
        sheet = lab.open("00_tour")                      # a copy of the notebook, every cell run
        before = sheet.image_bytes("fq-histogram")       # the PNG that the page shows now
        sheet.press("fq-bits", "ArrowLeft", 2)           # focus the slider's handle, press twice
        after = sheet.wait_change("fq-histogram", before)
        assert "2 bit" in sheet.text("fq-status")

Widgets are found by the DOM class that their author gave them with ``widget.add_class("fq-bits")``.
The notebooks are run on a copy in a temporary folder, so the repository's own files never change. Without
Chromium the fixture skips, and says where it looked. Nothing is asked of any host but this machine.

Sheet (one open notebook)
    page                          the Playwright page, for anything not listed here
    run_all(timeout)              run every cell; a failing one raises AssertionError with its traceback
    wait_idle(timeout)            until the kernel reports idle
    slider(name)                  locator of the slider's handle (``.noUi-handle``)
    slider_value(name)            where the handle stands, to the last digit
    press(name, key, n=1)         focus the control and press a key n times (``ArrowRight``, ``Home``...)
    drag(name, fraction, steps)   drag the handle with the mouse over a fraction of the slider's length
    choose(name, option)          pick an option of a dropdown or of toggle buttons by its visible text
    click(name)                   click a button
    fill(name, text)              type into a text box and leave it
    image_bytes(name)             bytes of the picture in an Image widget (or of an <img> inside the element)
    text(name)                    visible text of an element
    wait_change(name, before)     the picture's bytes, or the text, once it differs from ``before``
    wait_text(name, part)         visible text once it contains ``part``
    latency(control, key, name)   milliseconds from the key's DOM event to the next picture or text
    errors()                      tracebacks shown in the notebook
    outside                       addresses off this machine that the page asked for (and did not get)
    page_errors                   uncaught JavaScript errors
"""

from __future__ import annotations

import gc
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Lab", "Sheet", "find_chromium", "lab_fixture", "write_notebook"]

HOST = "127.0.0.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_BROWSERS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
BROWSER_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-proxy-server",
    "--disable-dev-shm-usage", f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HOST}",
]  # fmt: skip
# Every lesson shows it; the browser is refused it like any other address off this machine.
BADGE_PICTURE = "https://mybinder.org/badge_logo.svg"
SETTINGS = {
    # Every cell stays in the page, so that a driver can reach a slider that is scrolled out of sight.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    # No "would you like news?" toast over the controls.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


def find_chromium() -> str | None:
    """Path of a system Chromium or Chrome; ``$FQLAB_CHROMIUM`` wins. None where there is none."""
    named = os.environ.get("FQLAB_CHROMIUM")
    if named:
        return shutil.which(named)
    on_path = (shutil.which(name) for name in BROWSERS)
    on_mac = (path for path in MAC_BROWSERS if Path(path).exists())
    return next((path for path in (*on_path, *on_mac) if path), None)


def write_notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of code cells, for tests that need one of their own."""
    import nbformat

    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(book, path)
    return path


class Server:
    """A JupyterLab of its own: own port, token, settings and runtime files, all under one folder."""

    def __init__(self, home: Path, root: Path, hook: bool = True) -> None:
        self.token = secrets.token_hex(16)
        self.log = home / "server.log"
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.url = f"http://{HOST}:{probe.getsockname()[1]}"
        config = home / "config"
        (config / "labconfig").mkdir(parents=True)
        (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        places = {
            "JUPYTER_CONFIG_DIR": config,
            "JUPYTER_RUNTIME_DIR": home / "runtime",
            "JUPYTER_DATA_DIR": home / "data",
            "JUPYTERLAB_SETTINGS_DIR": home / "settings", "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
            "IPYTHONDIR": home / "ipython",
            "FQLAB_PROGRESS": home / "progress.json",
        }  # fmt: skip
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
            f"--ServerApp.ip={HOST}", f"--ServerApp.port={self.url.rsplit(':')[-1]}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={self.token}",
            *["--ContentsManager.pre_save_hook=fqlab.lessons.notebook.before_saving"] * hook,  # as make lab has it
        ]  # fmt: skip
        environment = os.environ | {key: str(path) for key, path in places.items()}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def wait(self, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("/api/status")
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(
            f"JupyterLab did not answer within {timeout:.0f} s; its log:\n{self.log.read_text()[-3000:]}"
        )

    def stop(self) -> None:
        if self.process.poll() is None:
            for session in self.ask("/api/sessions"):
                self.ask(f"/api/sessions/{session['id']}", "DELETE")
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Sheet:
    """One notebook open in the browser; see the head of this file for the list of helpers."""

    def __init__(self, page: Any, server: Server, name: str) -> None:
        self.page = page
        self.server = server
        self.name = name
        self.outside: list[str] = []
        self.page_errors: list[str] = []
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))

    def _note(self, request: Any) -> None:
        local = (self.server.url, self.server.url.replace("http", "ws", 1), "data:", "blob:", BADGE_PICTURE)
        if not request.url.startswith(local):
            self.outside.append(request.url)

    def load(self, timeout: float = 60) -> None:
        self.page.goto(f"{self.server.url}/lab/tree/{self.name}.ipynb?reset&token={self.server.token}")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=1000 * timeout)
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=1000 * timeout)
        self.wait_idle(timeout)

    def wait_idle(self, timeout: float = 60) -> None:
        self.page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(timeout=1000 * timeout)

    def run_all(self, timeout: float = 180) -> None:
        self.page.set_default_timeout(1000 * timeout)
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells').catch(() => null)")
        self.wait_idle(timeout)
        self.page.set_default_timeout(90_000)
        shown = self.errors()
        assert not shown, f"{self.name}.ipynb fails in the browser:\n" + "\n".join(shown)

    def errors(self) -> list[str]:
        return list(self.page.evaluate(ERRORS))

    def widget(self, name: str) -> Any:
        return self.page.locator(f".{name}").first

    def slider(self, name: str) -> Any:
        return self.page.locator(f".{name} .noUi-handle").first

    def slider_value(self, name: str) -> float:
        track = self.page.locator(f".{name} .noUi-target").first
        return float(track.evaluate("target => target.noUiSlider.get(true)"))

    def control(self, name: str) -> Any:
        """The part of a widget that takes the keyboard."""
        part = self.page.locator(
            f".{name} .noUi-handle, .{name} input, .{name} select, .{name} textarea, button.{name}"
        )
        return part.first

    def press(self, name: str, key: str, n: int = 1) -> None:
        control = self.control(name)
        control.focus()
        for _ in range(n):
            control.press(key)

    def drag(self, name: str, fraction: float, steps: int = 30) -> None:
        handle = self.slider(name)
        handle.hover()  # waits until the page has stopped moving
        box = handle.bounding_box()
        track = self.page.locator(f".{name} .noUi-target").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.down()
        self.page.mouse.move(x + fraction * track["width"], y, steps=steps)
        self.page.mouse.up()

    def choose(self, name: str, option: str) -> None:
        dropdown = self.page.locator(f".{name} select")
        if dropdown.count():
            dropdown.first.select_option(label=option)
        else:
            self.widget(name).get_by_text(option, exact=True).click()

    def click(self, name: str) -> None:
        self.page.locator(f"button.{name}, .{name} button").first.click()

    def fill(self, name: str, text: str) -> None:
        box = self.page.locator(f".{name} input, .{name} textarea").first
        box.fill(text)
        box.blur()

    def image(self, name: str) -> Any:
        return self.page.locator(f"img.{name}, .{name} img").first

    def image_bytes(self, name: str) -> bytes:
        script = """async img => {
            await img.decode();
            const bytes = new Uint8Array(await (await fetch(img.src)).arrayBuffer());
            let text = ''; for (const byte of bytes) text += String.fromCharCode(byte);
            return btoa(text);
        }"""
        import base64

        return base64.b64decode(self._patiently(lambda: self.image(name).evaluate(script)))

    @staticmethod
    def _patiently(read: Callable[[], Any], tries: int = 5) -> Any:
        """A picture may be replaced (and its blob revoked) while it is read: read again."""
        from playwright.sync_api import Error

        for left in reversed(range(tries)):
            try:
                return read()
            except Error:
                if not left:
                    raise
                time.sleep(0.05)
        raise AssertionError("unreachable")

    def text(self, name: str) -> str:
        return self.widget(name).inner_text()

    def wait_change(self, name: str, before: bytes | str, timeout: float = 10) -> Any:
        read = self.image_bytes if isinstance(before, bytes) else self.text
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            now = read(name)
            if now != before:
                return now
            self.page.wait_for_timeout(30)
        raise AssertionError(f".{name} did not change within {timeout} s")

    def wait_text(self, name: str, part: str, timeout: float = 10) -> str:
        self.page.locator(f".{name}", has_text=part).first.wait_for(timeout=1000 * timeout)
        return self.text(name)

    def latency(self, control: str, key: str, name: str, timeout: float = 10) -> float:
        self.page.evaluate(WATCH, [f"img.{name}, .{name} img", f".{name}", 1000 * timeout])
        self.press(control, key)
        taken = self.page.evaluate("() => window.fqlabWatch")
        assert taken is not None, f".{name} did not change within {timeout} s of {key} on .{control}"
        return float(taken)

    def close(self) -> None:
        self.page.context.close()
        for session in self.server.ask("/api/sessions"):
            if session["path"] == f"{self.name}.ipynb":
                self.server.ask(f"/api/sessions/{session['id']}", "DELETE")


# The tracebacks in the notebook's own model, without terminal colours: independent of how Lab renders them.
ERRORS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
    .flatMap(cell => cell.type === 'code' ? cell.outputs.toJSON() : [])
    .filter(output => output.output_type === 'error')
    .map(output => output.traceback.join('\\n').replace(/\\x1b\\[[0-9;]*m/g, ''))"""

# Resolves to the milliseconds from the next keydown to the first picture loaded, or text changed, after it.
WATCH = """([image, element, limit]) => {
    window.fqlabWatch = new Promise(resolve => {
        let start = null, paint = null;
        const done = () => { if (start !== null && paint === null) {
            paint = performance.now();
            requestAnimationFrame(() => { watcher.disconnect(); resolve(paint - start); });
        } };
        const begin = event => { start = event.timeStamp; };
        document.addEventListener('keydown', begin, {capture: true, once: true});
        const img = document.querySelector(image), box = document.querySelector(element);
        if (img) img.addEventListener('load', done);
        const watcher = new MutationObserver(() => { if (!img) done(); });
        watcher.observe(box, {subtree: true, childList: true, characterData: true, attributes: true});
        setTimeout(() => resolve(null), limit);
    });
}"""


class Lab:
    """A running JupyterLab and a browser; :meth:`open` gives one notebook, run."""

    def __init__(self, server: Server, browser: Any, folder: Path) -> None:
        self.server = server
        self.browser = browser
        self.folder = folder
        self.sheets: list[Sheet] = []

    def open(self, name: str, *, run: bool = True, width: int = 1280, height: int = 720, timeout: float = 180) -> Sheet:
        """Open ``name.ipynb`` of the copied folder in a fresh page and kernel, and run all its cells."""
        if not (self.folder / f"{name}.ipynb").exists():
            raise FileNotFoundError(f"name={name!r} is not a notebook here; there are: {self.names()}")
        self.close()
        context = self.browser.new_context(viewport={"width": width, "height": height})
        sheet = Sheet(context.new_page(), self.server, name)
        self.sheets.append(sheet)
        sheet.load()
        if run:
            sheet.run_all(timeout)
        return sheet

    def write(self, name: str, cells: list[str]) -> None:
        """Put a notebook of the test's own beside the copied ones."""
        write_notebook(self.folder / f"{name}.ipynb", cells)

    def names(self) -> str:
        return ", ".join(sorted(path.stem for path in self.folder.glob("*.ipynb"))) or "none"

    def close(self) -> None:
        """Close the open sheets and end their kernels, so that one test never meets another's state."""
        while self.sheets:
            self.sheets.pop().close()


def lab_fixture(notebooks: Path, home: Path, *, hook: bool = True) -> Iterator[Lab]:
    """The body of the ``lab`` fixture: copy ``notebooks``, start server and browser, clean up after.

    Without ``hook`` the server is one that knows nothing of fqlab.
    """
    chromium = find_chromium()
    if chromium is None:
        looked = ", ".join(BROWSERS)
        pytest.skip(f"no Chromium for the browser tests: looked for {looked} on PATH and at $FQLAB_CHROMIUM")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e .[test]"
    )
    folder = home / "notebooks"
    notebooks.mkdir(exist_ok=True)
    shutil.copytree(notebooks, folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "*.py"))
    server = Server(home, folder, hook)
    try:
        server.wait()
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, headless=True, args=BROWSER_ARGS)
            lab = Lab(server, browser, folder)
            yield lab
            lab.close()
            browser.close()
        gc.collect()  # the driver's greenlets end here, not in the middle of another test
    finally:
        server.stop()

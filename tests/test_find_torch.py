"""``make`` finds out which PyTorch to install, quickly, also where nothing answers."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / ".ci" / "find_torch.py"


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on a Linux without a driver."""
    spec = spec_from_file_location("find_torch", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.platform, "system", lambda: "Linux")
    monkeypatch.setattr(module, "has_driver", lambda: False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return module


@pytest.fixture
def index() -> Iterator[str]:
    """An index on this machine that answers."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None, "do_GET": page})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def page(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200 if handler.path == "/torch/" else 404)
    handler.end_headers()


def test_cpu_build_where_there_is_no_driver_and_the_index_answers(finder, index, monkeypatch):
    monkeypatch.setattr(finder, "CPU_INDEX", index)
    arguments, why = finder.choose("torch==2.13.0")
    assert arguments == f"--index-url {index}"
    assert "CPU build" in why


def test_plain_build_with_a_driver_on_macos_and_where_the_build_is_named(finder, index, monkeypatch):
    monkeypatch.setattr(finder, "CPU_INDEX", index)
    assert finder.choose("torch==2.13.0+cu126") == ("", "as named: torch==2.13.0+cu126")
    monkeypatch.setattr(finder, "has_driver", lambda: True)
    assert finder.choose("torch")[0] == ""
    monkeypatch.setattr(finder, "has_driver", lambda: False)
    monkeypatch.setattr(finder.platform, "system", lambda: "Darwin")
    assert finder.choose("torch")[0] == ""


def test_an_index_that_refuses_is_missing_or_never_answers_costs_seconds_only(finder, index, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for address in (
            f"{index}/nothing",
            "http://127.0.0.1:1",
            "no address",
            f"http://127.0.0.1:{silent.getsockname()[1]}",
        ):
            began = time.monotonic()
            assert not finder.answers(address, 0.5)
            assert time.monotonic() - began < 60
    monkeypatch.setattr(finder, "answers", lambda address: False)
    arguments, why = finder.choose("torch")
    assert arguments == ""
    assert "does not answer" in why


def test_as_a_script_it_prints_arguments_alone_and_says_why_beside():
    done = subprocess.run(
        [sys.executable, SCRIPT, "torch==1+cpu"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "\n"
    assert "as named: torch==1+cpu" in done.stderr

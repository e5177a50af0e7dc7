"""Which build of PyTorch to install: prints arguments for pip, and says on stderr what was taken and why.

A plain install is the right one on macOS and on machines with an NVIDIA driver. On Linux and Windows without one it
may be gigabytes of CUDA, so the index of CPU builds is taken if it answers within seconds. Needs nothing but Python.
"""

from __future__ import annotations

import platform
import shutil
import sys
import threading
import urllib.request
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def has_driver() -> bool:
    """Whether an NVIDIA driver is installed."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def answers(address: str, seconds: float = 5.0) -> bool:
    """Whether a web address can be read within ``seconds``, a slow name server included."""
    reached: list[bool] = []

    def read() -> None:
        try:
            with urllib.request.urlopen(address, timeout=seconds) as page:
                reached.append(page.status == 200)
        except (OSError, ValueError):
            reached.append(False)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(seconds)
    return reached == [True]


def choose(wanted: str) -> tuple[str, str]:
    """Arguments for pip, and the reason.

    Args:
        wanted: what is to be installed, such as ``torch==2.13.0``; a build that it names itself (``+cu126``, a file,
            an address) is left alone.
    """
    if any(mark in wanted for mark in "+/@\\"):
        return "", f"as named: {wanted}"
    if platform.system() == "Darwin":
        return "", "the plain build, which on macOS is small"
    if has_driver():
        return "", "the plain build, because this machine has an NVIDIA driver"
    if not answers(f"{CPU_INDEX}/torch/"):
        return "", f"the plain build, because {CPU_INDEX} does not answer; without a GPU it may be larger than needed"
    return f"--index-url {CPU_INDEX}", "the CPU build, because no NVIDIA driver was found"


if __name__ == "__main__":
    arguments, why = choose(sys.argv[1] if len(sys.argv) > 1 else "torch")
    print(f"PyTorch: {why} (TORCH_ARGS decides otherwise)", file=sys.stderr)
    print(arguments, flush=True)

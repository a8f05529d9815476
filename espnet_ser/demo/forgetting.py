"""Recordings are not kept."""

import threading
import time
from contextlib import suppress
from pathlib import Path

FORGET_S = 60.0
"""A recording is removed so long after its answer: until then the page's player may ask for it."""


def forget(path: Path, after_s: float = FORGET_S) -> None:
    """Removes a file, later. One that was sent again meanwhile (Gradio gives it the same name) is left to its own answer."""

    def remove() -> None:
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_ctime >= after_s:
                path.unlink()

    timer = threading.Timer(after_s, remove)
    timer.daemon = True
    timer.start()

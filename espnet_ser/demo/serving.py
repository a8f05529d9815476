"""From options to a page that is served until a signal ends it."""

import os
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from espnet_ser.demo.ports import find_port
from espnet_ser.demo.recordings import page_folder
from espnet_ser.errors import InputError
from espnet_ser.inference.find_models import DEFAULT_MODEL, models_of
from espnet_ser.utils.say import say


def serve(
    models: Sequence[str] | None,
    device: str,
    selection: str | None,
    host: str,
    port: int | None,
    max_seconds: float,
    names: Sequence[str] = (),
) -> None:
    """Serves the page. What it writes, recordings and examples, lies in a folder that goes with it.

    Args:
        models: As of :meth:`espnet_ser.inference.speech_emotion.SpeechEmotion.from_pretrained`; None for the recipe's.
        device: Likewise.
        selection: Likewise.
        host: The address to serve on.
        port: None for the first free one.
        max_seconds: Longer recordings are refused.
        names: Further names that the page is reached by, besides those of this machine.

    Raises:
        InputError: When Gradio is missing, a model cannot be loaded, or the port is taken.
    """
    if find_spec("gradio") is None:
        raise InputError("Gradio is not installed: pip install 'espnet-ser[demo]'")
    find_port(host, port)  # before the models are looked for, which may ask the hub
    found = models_of(models, selection)
    with page_folder() as folder:
        recordings = folder / "recordings"
        os.environ["GRADIO_TEMP_DIR"] = str(recordings)
        examples = _spoken(folder / "examples")  # its processes are forked, which goes badly with torch's threads

        from espnet_ser.inference.speech_emotion import SpeechEmotion

        speech_emotion = SpeechEmotion.of_models(found, device)

        from espnet_ser.demo.page import build_page, served

        page = build_page(speech_emotion, list(models or [str(DEFAULT_MODEL)]), examples, max_seconds)
        with served(page, host, find_port(host, port), max_seconds, recordings, names) as address:
            say(f"espnet-ser demo: {address} (Ctrl-C ends it)", flush=True)
            threading.Event().wait()  # until a signal unwinds it


def _spoken(folder: Path) -> dict[str, Path]:
    """The examples; none, and a line that says so, where there is no espeak-ng."""
    from espnet_ser.demo.examples import speak_examples

    folder.mkdir()
    try:
        return speak_examples(folder)
    except InputError as error:
        say(f"no examples: {error}", file=sys.stderr, flush=True)
        return {}

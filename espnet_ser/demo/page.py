"""The page: a recording on one side, its prediction on the other, the timeline of a long one below."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read as Gradio is imported

import gradio as gr
from starlette.middleware import Middleware

from espnet_ser.characters import escape
from espnet_ser.data.audio import LONGEST_WHOLE_S
from espnet_ser.demo.about import source_name, what_is_told, what_was_heard
from espnet_ser.demo.answer import Answer, Answering
from espnet_ser.demo.gate import Gate
from espnet_ser.demo.page_style import STYLE
from espnet_ser.demo.recordings import KEPT_S, forgetting
from espnet_ser.errors import InputError
from espnet_ser.inference.speech_emotion import SpeechEmotion

_MAX_WAITING = 32
_PRIVATE = {"api_visibility": "private"}  # of the page alone, no interface for programs
_BYTES_PER_SECOND = 48_000 * 2 * 4  # of stereo in 32 bits
_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_WAITING = '<p class="ser-empty">What the model tells will be here.</p>'


def build_page(
    speech_emotion: SpeechEmotion,
    sources: Sequence[str],
    examples: Mapping[str, Path],
    max_seconds: float,
) -> gr.Blocks:
    """The page, ready to be served. ``sources``: what they are called; ``examples``: how each is spoken -> its file;
    ``max_seconds``: longer recordings are refused.
    """
    answering = Answering(speech_emotion, max_seconds)

    def answer(path: str | None) -> Answer:
        prediction, timeline = answering(path)
        return Answer(prediction or _WAITING, timeline)

    if examples:
        gr.set_static_paths(sorted(map(str, examples.values())))  # served from where they lie
    with gr.Blocks(title="Speech emotion", analytics_enabled=False) as page:
        gr.HTML(_header(speech_emotion, sources))
        with gr.Row(elem_classes="ser-columns"):
            with gr.Column(min_width=300):
                audio = gr.Audio(sources=["upload", "microphone"], type="filepath", label="Recording", buttons=[])
                _take_only_files(audio)
                if examples:
                    gr.HTML("<p>Or synthetic speech, made by a program (espeak-ng), <b>not by people</b>:</p>")
                    with gr.Row(elem_classes="ser-examples"):
                        for name, path in examples.items():
                            button = gr.Button(name, size="sm", min_width=80)
                            button.click(lambda path=path: str(path), None, audio, **_PRIVATE, show_progress="hidden")
            with gr.Column(min_width=300):
                prediction = gr.HTML(_WAITING, elem_id="ser-answer")
        timeline = gr.HTML(elem_id="ser-over-time")
        gr.HTML(_notes(max_seconds))
        audio.change(answer, audio, [prediction, timeline], **_PRIVATE, trigger_mode="always_last", show_progress="minimal")
    # Torch computes on all cores for one recording; others wait their turn.
    return page.queue(max_size=_MAX_WAITING, default_concurrency_limit=1)


@contextmanager
def served(
    page: gr.Blocks, host: str, port: int, max_seconds: float, recordings: Path, names: Sequence[str] = ()
) -> Iterator[str]:
    """While the body runs, the page is served, by threads of this process: no link through others' servers, no analytics.

    Args:
        page: From :func:`build_page`.
        host: The address to serve on.
        port: Likewise.
        max_seconds: Longer recordings are refused, and so are files that must be longer.
        recordings: Where Gradio puts what visitors send (``GRADIO_TEMP_DIR``); emptied as time goes on.
        names: Further names that the server is reached by.

    Yields:
        Its address.

    Raises:
        InputError: When the server does not start.
    """
    max_bytes = int(max_seconds * _BYTES_PER_SECOND)
    gate = Middleware(Gate, host=host, names=names, recordings=recordings, max_bytes=max_bytes)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=max_bytes,
            app_kwargs={"middleware": [gate]},
            theme=_theme(),
            css=STYLE,
        )
    except OSError as error:  # Gradio gives it some seconds
        raise InputError(
            f"--port {port}: it was free, but the server did not start: taken meanwhile, or the machine is too busy; try again"
        ) from error
    try:
        with forgetting(recordings):
            yield address
    finally:
        page.close(verbose=False)  # waits some seconds for pages that are open


def _take_only_files(audio: gr.Audio) -> None:
    """Whoever asks without the page may name an address, which Gradio would fetch, or a folder, on which it would stumble."""
    take = audio.async_move_resource_to_block_cache

    async def take_file(place: str | Path | None) -> str | None:
        if place is not None and not os.path.isfile(place):
            raise gr.Error("there is no such recording here: send it again", print_exception=False)
        return await take(place)

    audio.async_move_resource_to_block_cache = take_file


def _theme() -> gr.themes.Default:
    theme = gr.themes.Default(primary_hue="blue", font=_FONTS, font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"))
    # Gradio's own are too pale to read.
    return theme.set(body_text_color_subdued="#5b6570", body_text_color_subdued_dark="#9aa5af")


def _header(speech_emotion: SpeechEmotion, sources: Sequence[str]) -> str:
    names = ", ".join(f"<code>{escape(source_name(source))}</code>" for source in sources)
    return (
        f"<h1>Speech emotion</h1><p>Tells {what_is_told(speech_emotion)} from speech, with what espnet-ser has trained.</p>"
        f'<p class="ser-small">{what_was_heard(speech_emotion.trained_on)} {names}</p>'
    )


def _notes(max_seconds: float) -> str:
    return (
        '<ul class="ser-small">'
        f"<li>WAV, FLAC, OGG or MP3, up to {max_seconds:g} s. Longer than {LONGEST_WHOLE_S:g} s is predicted in windows, "
        "as a timeline.</li>"
        "<li>It predicts how raters would label the voice, not what a person feels. It knows silence by its level alone, and "
        "puts noise and music into a class too. It is no ground for decisions about people.</li>"
        f"<li>A recording is sent to the machine that serves this page, and removed there {KEPT_S / 60:g} minutes later or "
        "with the end of the program. Neither it nor the answer is passed on.</li>"
        "</ul>"
    )

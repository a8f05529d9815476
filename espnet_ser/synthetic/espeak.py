"""Speech from espeak-ng, the same to the byte on every run.

The library comes in the ``espeakng-loader`` wheel and is called through ctypes: no root, no download. Its synthesiser keeps
state from one utterance to the next, and no seed or re-initialisation clears it, so an utterance's bytes would depend on what
the process had spoken before. Hence this process loads the library but never speaks: each request is spoken by a process
forked for it alone.
"""

import ctypes
import functools
import multiprocessing
import os
import re
import signal
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import soxr

from espnet_ser.errors import InputError

SAMPLE_RATE = 16_000
_ESPEAK_RATE = 22_050
_MAX_DATA_PATH = 140  # espeak-ng keeps the path in 160 bytes and adds file names to it
_OUTPUT_SYNCHRONOUS, _DONT_EXIT, _CHARS_UTF8 = 2, 0x8000, 1
_MIN_RATE_WPM, _MAX_RATE_WPM = 80, 450
_RATE, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_MARGIN_S = 0.06
_REFERENCE_DB = -30.0


@dataclass(frozen=True)
class Prosody:
    """How a text is spoken. Values beyond a limit are set to the limit."""

    rate_wpm: float = 170.0  # words per minute, 80 to 450
    pitch: float = 50.0  # espeak-ng's pitch, 0 to 99 (50: the voice's own)
    pitch_range: float = 50.0  # espeak-ng's pitch range, 0 (monotone) to 99 (50: the voice's own)
    word_gap: float = 0.0  # pause between words, in espeak-ng's units of about 10 ms
    gain_db: float = 0.0  # level of the speech in dB relative to -30 dBFS (RMS)
    tilt_db: float = 0.0  # slope of the spectrum, in dB per octave around 1 kHz; positive is brighter
    snr_db: float | None = None  # speech-to-noise ratio of the white noise added, in dB; None adds none


@dataclass(frozen=True)
class SpeechRequest:
    """One text to speak."""

    text: str
    voice: str  # an espeak-ng language and variant, as ``en-us+f1``
    prosody: Prosody = Prosody()  # how to speak it
    seed: int = 0  # seeds the synthesiser and the noise
    # speech that lasts longer is made faster, up to 450 words/min, until it fits; None sets no limit
    max_duration_s: float | None = None


def speak(text: str, voice: str = "en-us", prosody: Prosody | None = None, seed: int = 0) -> np.ndarray:
    """Speak one text; for many, :func:`speak_many` is faster. ``voice``: an espeak-ng language and variant, as ``en-us+f1``;
    ``prosody``: how to speak it; None for the voice's own way; ``seed``: seeds the synthesiser and the noise. Returns float32
    samples in [-1, 1] at 16 kHz, shape (num_samples,). Raises InputError if there is no such voice, nothing to speak, or no
    espeak-ng.

    >>> speak("Good morning.", "en-us+f2").dtype
    dtype('float32')
    """
    return next(speak_many([SpeechRequest(text, voice, prosody or Prosody(), seed)], nj=1))


def speak_many(requests: Iterable[SpeechRequest], nj: int = 1) -> Iterator[np.ndarray]:
    """Speak texts in ``nj`` processes; the result does not depend on ``nj``, nor on the other requests. ``requests``: what to
    speak. All are checked before the first is spoken; ``nj``: number of processes that speak at a time. Returns an iterator
    over float32 samples in [-1, 1] at 16 kHz, shape (num_samples,), in the order of the requests. Raises InputError if there is
    no such voice, nothing to speak, or no espeak-ng; at once, not on the first item.
    """
    requests = list(requests)
    if nj < 1:
        raise InputError(f"nj {nj}: the number of processes must be 1 or more")
    for voice in sorted({request.voice for request in requests}):
        check_voice(voice)
    for request in requests:
        if not re.search(r"\w", request.text):
            raise InputError(f"no word to speak in {request.text!r}")
    _library()
    return _spoken(requests, nj)


def _spoken(requests: list[SpeechRequest], nj: int) -> Iterator[np.ndarray]:
    waiting, speaking = iter(requests), deque()
    try:
        for _ in requests:
            speaking.extend(_Speaking(each) for each in islice(waiting, nj - len(speaking)))
            yield speaking.popleft().samples()
    finally:
        for each in speaking:
            each.process.kill()


class _Speaking:
    """A request in a process of its own, forked from the state in which the library was loaded."""

    def __init__(self, request: SpeechRequest):
        self._request = request
        context = multiprocessing.get_context("fork")
        self._reader, writer = context.Pipe(duplex=False)
        self.process = context.Process(target=self._speak, args=(writer,), daemon=True)
        self.process.start()
        writer.close()

    def _speak(self, writer: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
        self._reader.close()  # else the end of the parent would not be seen
        with suppress(BrokenPipeError):
            try:
                writer.send(_speak(self._request))
            except InputError as error:
                writer.send(error)

    def samples(self) -> np.ndarray:
        """Waits for the result."""
        try:
            result = self._reader.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            raise InputError(f"espeak-ng died (status {code}) while it spoke {self._request.text!r}; try again") from None
        self._reader.close()
        self.process.join()
        if isinstance(result, InputError):
            raise result
        return result


def check_voice(voice: str) -> None:
    """Check that espeak-ng has a voice's variant, because it falls back silently to the plain voice where it has not.
    ``voice``: an espeak-ng language and variant, as ``en-us+f1``, or a language alone. Raises InputError if there is no such
    language or variant, naming the nearest one.
    """
    language, _, variant = voice.partition("+")
    languages, variants = _data_dir() / "lang", _data_dir() / "voices" / "!v"
    _check_known("language", language, {path.name for path in languages.rglob("*") if path.is_file()}, languages)
    if "+" in voice:
        _check_known("voice variant", variant, {path.name for path in variants.iterdir()}, variants)


def _check_known(kind: str, name: str, known: set[str], folder: Path) -> None:
    lower = {each.lower(): each for each in known}
    # espeak-ng takes a language in any case; a variant is a file, whose name must fit to the letter.
    if name in known or (kind == "language" and name.lower() in lower):
        return
    near = get_close_matches(name.lower(), sorted(lower), n=1)
    hint = f" (did you mean {lower[near[0]]!r}?)" if near else ""
    raise InputError(f"espeak-ng has no {kind} {name!r}{hint}; the {len(known)} it has are the files in {folder}")


@functools.cache
def _data_dir() -> Path:
    try:
        import espeakng_loader
    except ImportError:
        raise InputError("espeak-ng is missing: pip install espeakng-loader") from None
    return Path(espeakng_loader.get_data_path())


@functools.cache
def _library() -> ctypes.CDLL:
    """Load and initialise espeak-ng in this process, which must never speak."""
    data_dir = _data_dir()
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    if len(os.fsencode(data_dir)) > _MAX_DATA_PATH:
        link_dir = tempfile.TemporaryDirectory(prefix="espeak")
        library.link_dir = link_dir  # lives as long as the library, whose workers read files through it
        link = Path(link_dir.name, "espeak-ng-data")
        link.symlink_to(data_dir, target_is_directory=True)
        data_dir = link
    rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data_dir), _DONT_EXIT)
    if rate != _ESPEAK_RATE:
        raise InputError(f"espeak-ng cannot read its data in {data_dir} (status {rate}): reinstall espeakng-loader")
    library.espeak_SetVoiceByName(b"en-us")  # reads its dictionary once, for all workers
    return library


def _speak(request: SpeechRequest) -> np.ndarray:
    """Speak, in a process that has not spoken yet."""
    library = _library()
    library.espeak_ng_SetRandSeed(ctypes.c_long(request.seed % 2**31))
    prosody = request.prosody
    samples = _synthesise(library, request, prosody)
    limit = None if request.max_duration_s is None else request.max_duration_s * SAMPLE_RATE
    while limit is not None and len(samples) > limit and prosody.rate_wpm < _MAX_RATE_WPM:
        rate_wpm = min(prosody.rate_wpm * 1.05 * len(samples) / limit, _MAX_RATE_WPM)
        prosody = replace(prosody, rate_wpm=rate_wpm, word_gap=0)
        samples = _synthesise(library, request, prosody)
    return _coloured(samples, prosody, np.random.default_rng(request.seed))


def _synthesise(library: ctypes.CDLL, request: SpeechRequest, prosody: Prosody) -> np.ndarray:
    """Float32 samples at 16 kHz, shape (num_samples,), before the level is set."""
    chunks: list[np.ndarray] = []

    @_CALLBACK
    def receive(wave, num_samples, _events):
        if num_samples > 0:
            chunks.append(np.ctypeslib.as_array(wave, (num_samples,)).astype(np.float32))
        return 0

    library.espeak_SetSynthCallback(receive)
    if library.espeak_SetVoiceByName(request.voice.encode()) != 0:
        raise InputError(f"espeak-ng has no voice {request.voice!r}")
    values = {
        _RATE: np.clip(prosody.rate_wpm, _MIN_RATE_WPM, _MAX_RATE_WPM),
        _PITCH: np.clip(prosody.pitch, 0, 99),
        _RANGE: np.clip(prosody.pitch_range, 0, 99),
        _WORD_GAP: max(prosody.word_gap, 0),
    }
    for parameter, value in values.items():
        library.espeak_SetParameter(parameter, int(round(value)), 0)
    text = request.text.encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _CHARS_UTF8, None, None)
    if not chunks:
        raise InputError(f"espeak-ng speaks nothing for {request.text!r}")
    samples = soxr.resample(np.concatenate(chunks) / 2**15, _ESPEAK_RATE, SAMPLE_RATE)
    # The silence at both ends is cut down to a margin.
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return np.pad(samples[loud[0] : loud[-1] + 1], int(_MARGIN_S * SAMPLE_RATE))


def _coloured(samples: np.ndarray, prosody: Prosody, rng: np.random.Generator) -> np.ndarray:
    """Tilt the spectrum, set the level, add noise."""
    size = 1 << (len(samples) - 1).bit_length()  # a transform of prime length is thirty times slower
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 62.5) / 1000)
    samples = np.fft.irfft(np.fft.rfft(samples, size) * 10 ** (prosody.tilt_db * octaves / 20), size)[: len(samples)]
    level = 10 ** ((_REFERENCE_DB + prosody.gain_db) / 20)
    samples = samples * (level / np.sqrt(np.mean(samples**2)))
    if prosody.snr_db is not None:
        samples = samples + level * 10 ** (-prosody.snr_db / 20) * rng.standard_normal(len(samples))
    return np.clip(samples, -1, 1).astype(np.float32)

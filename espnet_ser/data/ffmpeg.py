"""Recordings that libsndfile does not know (M4A, WebM, WMA, AMR, the sound of videos), through ffmpeg where there is one.

ffmpeg is run without a shell, on a file that is open already. It may read no address, no playlist and no other file, and
decodes no more than the longest utterance, for so many seconds at most; what it gives is read a block at a time.
"""

import re
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from espnet_ser.data.audio import SAMPLE_RATE, at_16k
from espnet_ser.data.sound_file import MAX_CHANNELS, MAX_DURATION_S, MAX_RATE, MIN_RATE, NotAudio, empty, too_long
from espnet_ser.errors import InputError

SUFFIXES = (
    *(
        ".m4a",
        ".m4b",
        ".mp4",
        ".m4v",
        ".mov",
        ".3gp",
        ".3g2",
        ".aac",
        ".adts",
        ".webm",
        ".weba",
        ".mkv",
        ".mka",
        ".ogv",
        ".wma",
    ),
    *(".wmv", ".asf", ".amr", ".awb", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta", ".mpc", ".tak", ".ra", ".rm", ".rmvb"),
    *(".avi", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".spx", ".qcp", ".oma", ".dsf", ".dff", ".gsm"),
)
"""Names of sound and video that libsndfile does not read."""

MAX_DECODING_S = 300  # ffmpeg decodes hours in less

_CONTAINERS = (
    "mov,matroska,webm,asf,aac,amr,amrnb,amrwb,ac3,eac3,dts,dtshd,ape,wv,tta,mpc,mpc8,tak,rm,avi,flv,mpeg,mpegts,ogg,mp3,oma,qcp,"
    "dsf,iff,wav,w64,aiff,au,caf,flac,loas,gsm"
)  # no playlists, whose lines name other files
_BLOCK_VALUES = 1 << 20
_MAX_SAID, _SHOWN = 10_000, 200


def decode(file: FileIO, name: Path | str) -> np.ndarray:
    """Reads the first audio of an open file, whatever ffmpeg knows: float32 [num_samples] at 16 kHz, channels averaged. Raises
    InputError: there is no ffmpeg, it cannot decode all of the file, or it decodes more than an utterance.
    """
    if shutil.which("ffmpeg") is None:
        raise NotAudio(
            f"{name}: not audio that libsndfile can read; install ffmpeg, which reads more kinds, or convert it to WAV or FLAC"
        )
    options = ["-nostdin", "-hide_banner", "-v", "error", "-xerror", "-threads", "1"]
    source = ["-protocol_whitelist", "file,pipe", "-format_whitelist", _CONTAINERS, "-i", f"file:/dev/fd/{file.fileno()}"]
    target = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-t", str(MAX_DURATION_S + 1), "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    command = ["ffmpeg", *options, *source, *target]
    file.seek(0)
    waveform = error = None
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, pass_fds=(file.fileno(),)
        )
        timer = threading.Timer(MAX_DECODING_S, process.kill)
        timer.start()
        try:
            with process.stdout as stream:
                rate, num_channels = _header(stream, name)
                if rate:
                    try:
                        waveform = at_16k(_blocks(stream, num_channels), rate, name)
                    except InputError as caught:
                        error = caught
                status = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        said.seek(0)
        reason = _reason(said.read(_MAX_SAID).decode(errors="replace"), status)
    if reason:
        raise NotAudio(f"{name}: not audio that libsndfile can read, nor ffmpeg ({reason}); convert it to WAV or FLAC")
    if error is not None:
        raise error
    if waveform is None:
        raise empty(name)
    if len(waveform) > MAX_DURATION_S * SAMPLE_RATE:
        raise too_long(name, f"more than {MAX_DURATION_S} s")
    return waveform


def _header(stream: BinaryIO, name: Path | str) -> tuple[int, int]:
    """Rate and channels of an AU, read to where its samples begin; zeros where ffmpeg gave nothing."""
    head = stream.read(24)
    if len(head) < 24:
        return 0, 0
    _, start, _, _, rate, num_channels = struct.unpack(">6I", head)
    if not MIN_RATE <= rate <= MAX_RATE or not 0 < num_channels <= MAX_CHANNELS:
        raise InputError(f"{name}: {num_channels} channels at {rate} Hz, which no recording has; convert it again")
    stream.read(start - len(head))
    return rate, num_channels


def _blocks(stream: BinaryIO, num_channels: int) -> Iterator[np.ndarray]:
    frame_bytes = 4 * num_channels
    while content := stream.read(_BLOCK_VALUES // num_channels * frame_bytes):
        whole = content[: len(content) // frame_bytes * frame_bytes]
        yield np.frombuffer(whole, ">f4").reshape(-1, num_channels).astype(np.float32)


def _reason(said: str, status: int) -> str:
    """Why ffmpeg did not decode all of the file, in its words; nothing where it did."""
    if status == 0 and "ended prematurely" not in said:
        return ""
    if status < 0:
        return f"it was stopped, by signal {-status}; it may take {MAX_DECODING_S} s"
    if "matches no streams" in said:
        return "there is no sound in it"
    if "not on whitelist" in said:
        return "it is of no kind that is sound or video"
    first = re.sub(r"^\[[^\]]*\] |file:/dev/fd/\d+: ", "", said.partition("\n")[0])
    return first[:_SHOWN].strip() or f"status {status}"

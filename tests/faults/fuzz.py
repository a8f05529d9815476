"""Feeds the readers of audio and annotations what nobody wrote: ``python tests/faults/fuzz.py --seconds 60 --seed 0``.

Sound files are mutated (bits, lengths, splices, fields of headers); a reader must give sane values or an InputError, in bounded
time and memory. An input that breaks this is kept besides, and the exit status is 1. The readers run in a process of its own,
whose death (a crash of a decoder) is found out too.
"""

import argparse
import faulthandler
import io
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from espnet_ser.corpus.iemocap_files import read_labels, read_transcripts
from espnet_ser.data.audio import MAX_DURATION_S, SAMPLE_RATE, load_audio, probe_audio
from espnet_ser.errors import InputError

LONGEST_S = 20
MOST_MEMORY = 1 << 30
"""Bytes that the readers may take beyond what the process has when it starts."""

DIALOG = "Ses01F_impro01"
LABELS = f"""% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\t{DIALOG}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()

[10.0100 - 11.3925]\t{DIALOG}_M001\tfru\t[2.5000, 3.5000, 4.5000]
C-F2:\tFrustration; Anger;\t(again)
""".encode()
TRANSCRIPTS = f"""{DIALOG}_F000 [006.2901-008.2357]: Excuse me.
{DIALOG}_M001 [010.0100-011.3925]: It's  about [LAUGHTER] jobs.
M: Yeah.
""".encode()
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 1_000_000_000)

Reader = Callable[[Path], None]


def read_audio(path: Path) -> None:
    """Both ways to read a file agree with each other."""
    try:
        info = probe_audio(path)
    except InputError as error:
        assert_line(error)
        info = None
    try:
        x = load_audio(path)
    except InputError as error:
        assert_line(error)
        return
    assert (x.dtype, x.ndim) == (np.float32, 1), (x.dtype, x.shape)
    assert 0 < len(x) <= MAX_DURATION_S * SAMPLE_RATE + 1, len(x)
    assert np.isfinite(x).all(), "not finite"
    assert info is not None, "read, though it was found to be bad"
    assert info.num_samples == len(x), (info.num_samples, len(x))


def read_label_file(path: Path) -> None:
    """Labels are complete, or a problem is told."""
    problems: list[str] = []
    for utt_id, fields in read_labels(path, problems).items():
        assert utt_id.startswith(f"{DIALOG}_"), utt_id
        assert np.isfinite([value for value in fields.values() if isinstance(value, float)]).all(), fields
    assert all(problem.startswith(str(path)) for problem in problems), problems


def read_transcript_file(path: Path) -> None:
    """Words are of the utterances that were asked for, or a problem is told."""
    problems: list[str] = []
    wanted = {f"{DIALOG}_F000", f"{DIALOG}_M001"}
    words = read_transcripts(path, wanted, problems)
    assert words.keys() <= wanted, words
    assert words.keys() == wanted or problems
    assert all(problem.startswith(str(path)) for problem in problems), problems


def assert_line(error: InputError) -> None:
    assert "\n" not in str(error), str(error)
    assert len(str(error)) < 1000, str(error)


def seeds() -> list[tuple[str, bytes, Reader]]:
    """Sound files: name, content and who reads it."""
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(4000) / 7) + 0.05 * rng.standard_normal(4000)
    found: list[tuple[str, bytes, Reader]] = [
        (f"{DIALOG}.txt", LABELS, read_label_file),
        (f"{DIALOG}.txt", TRANSCRIPTS, read_transcript_file),
    ]
    kinds = [
        ("WAV", s) for s in ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")
    ]
    kinds += [
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
    ]
    kinds += [("CAF", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16"), ("WAVEX", "PCM_16")]
    for kind, subtype in kinds:
        for channels in (1, 2):
            file = io.BytesIO()
            try:
                soundfile.write(file, np.stack([tone] * channels, axis=1), 16000, format=kind, subtype=subtype)
            except soundfile.LibsndfileError:  # a kind that has one channel alone
                continue
            content = file.getvalue()
            found.append((f"{kind}.{subtype}.wav", _same_every_time(content) if kind == "OGG" else content, read_audio))
    return found


def _same_every_time(ogg: bytes) -> bytes:
    """An Ogg file whose pages have the number 1 in place of a random one, and sums of check to match."""
    data, page = bytearray(ogg), 0
    while page < len(data):
        num_segments = data[page + 26]
        end = page + 27 + num_segments + sum(data[page + 27 : page + 27 + num_segments])
        data[page + 14 : page + 18] = struct.pack("<I", 1)
        data[page + 22 : page + 26] = bytes(4)
        check = 0
        for byte in data[page:end]:
            check ^= byte << 24
            for _ in range(8):
                check = (check << 1) ^ (0x104C11DB7 if check >> 31 else 0)
        data[page + 22 : page + 26] = struct.pack("<I", check)
        page = end
    return bytes(data)


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A file after one to four changes, most of them near its beginning, where headers are."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(data), rng.choice([64, 512, len(data)])) or 1) if data else 0
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[place] = rng.randrange(256)
        elif kind == 2:  # a field of a header
            size = rng.choice("BHI")
            value = rng.choice(NUMBERS) % (1 << 8 * struct.calcsize(size))
            data[place : place + struct.calcsize(size)] = struct.pack(rng.choice("<>") + size, value)
        elif kind == 3:
            del data[rng.randrange(len(data) + 1) :]
        elif kind == 4:
            del data[place : place + rng.randrange(1, 64)]
        elif kind == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            data[place:place] = other[start : start + rng.randrange(1, 256)]
        elif kind == 6:
            data[place:place] = data[place : place + rng.randrange(1, 256)] * rng.randrange(1, 4)
        else:
            data[place:place] = bytes([rng.choice([0, 255, 0x0D, 0x0A, 0x5B, 0x09])]) * rng.randrange(1, 32)
    return bytes(data)


def inputs(seed: int) -> Iterator[tuple[str, bytes, Reader]]:
    """Mutated files without end; the same seed gives the same ones."""
    rng, sound = random.Random(seed), seeds()
    contents = [content for _, content, _ in sound]
    while True:
        name, content, reader = rng.choice(sound)
        yield name, mutated(content, contents, rng), reader


def _work(connection) -> None:
    faulthandler.disable()  # its death is told in a line
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MOST_MEMORY, resource.RLIM_INFINITY))
    while True:
        path, reader = connection.recv()
        signal.alarm(LONGEST_S)  # kills the process: a decoder in C would heed nothing else
        try:
            reader(path)
            fault = None
        except BaseException:
            fault = traceback.format_exc()
        signal.alarm(0)
        connection.send(fault)


class Readers:
    """The readers in a process of their own, started again when it has died."""

    def __init__(self):
        self._process = None

    def fault(self, path: Path, reader: Reader) -> str | None:
        """What is wrong with the way in which a file is read; None for nothing."""
        if self._process is None:
            self._connection, theirs = get_context("fork").Pipe()
            self._process = get_context("fork").Process(target=_work, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        self._connection.send((path, reader))
        try:
            return self._connection.recv()
        except EOFError:
            self._process.join()
            code, self._process = self._process.exitcode, None
            return f"still reading after {LONGEST_S} s" if code == -signal.SIGALRM else f"the process died of signal {-code}"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()


def fuzz(seed: int, most: int | None, seconds: float, keep: Path) -> tuple[int, list[str]]:
    """Tries inputs until so many have been, or so many seconds are over.

    Args:
        seed: Of the mutations.
        most: How many inputs; None for as many as there is time for.
        seconds: How long.
        keep: Where inputs that break a reader are left.

    Returns:
        How many were tried, and for each that broke a reader where it lies and why.
    """
    readers, broken, number, end = Readers(), [], 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        for name, content, reader in inputs(seed):
            if time.monotonic() > end or number == most:
                break
            number += 1
            path = Path(folder) / name
            path.write_bytes(content)
            if fault := readers.fault(path, reader):
                keep.mkdir(parents=True, exist_ok=True)
                kept = keep / f"{seed}-{number}-{name}"
                kept.write_bytes(content)
                broken.append(f"{kept}: {fault}")
    readers.close()
    return number, broken


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_broken"), help="where inputs that break a reader are left")
    args = parser.parse_args()
    number, broken = fuzz(args.seed, None, args.seconds, args.keep)
    for line in broken:
        print(line, file=sys.stderr)
    print(f"{number} inputs, {len(broken)} of which broke a reader")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()

"""Speed of the ONNX export of a model of wav2vec2-base's size: ``python benchmarks/onnx_speed.py [--num_utts 40]``.

Weights are random, so that scores mean nothing: what int8 costs in accuracy is measured where a trained model is packed.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from corpus import LABELS, make_examples, write_audio
from encoder import save_random_encoder

from espnet_ser.bin.parser import CommandParser, whole_number
from espnet_ser.errors import InputError
from espnet_ser.publish.onnx import FLOAT_FILE, INT8_FILE, export_onnx, measure
from espnet_ser.report.grid import Grid, grid_markdown
from espnet_ser.tasks.ser import SERTask


def main(argv: Sequence[str] | None = None) -> None:
    """Exports, runs the utterances one by one, and prints what each file takes."""
    parser = CommandParser(prog="onnx_speed.py", description=__doc__, epilog="example: python benchmarks/onnx_speed.py")
    parser.add_argument("--num_utts", type=whole_number(1), default=40, help="utterances, of IEMOCAP's lengths")
    parser.add_argument("--encoder", default="base", help="base (wav2vec2-base, random weights), or a folder")
    parser.add_argument("--threads", type=whole_number(1), default=os.cpu_count(), help="default: all cores")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(prefix="espnet-ser-benchmark-") as work:
        folder = Path(work)
        encoder = args.encoder if args.encoder != "base" else str(folder / "encoder")
        if args.encoder == "base":
            save_random_encoder(encoder)
        words = ["--ssl", encoder, "--tasks", "emotion", "--output_dir", str(folder)]
        options = SERTask.get_parser().parse_args(words)
        options.labels = {"emotion": LABELS["emotion"]}
        model = SERTask.build_model(options).eval()
        export_onnx(model, options.labels, folder / "onnx")
        examples = make_examples(folder / "audio", args.num_utts)
        write_audio(examples)
        measured = measure(model, options.labels, folder / "onnx", examples)
        sizes = {name: (folder / "onnx" / name).stat().st_size / 1e6 for name in (FLOAT_FILE, INT8_FILE)}
    print(f"{args.num_utts} utterances, {measured['audio_s']} s, one at a time, {args.threads} threads\n")
    rows = [
        (name, f"{sizes[name]:.0f}", f"{measured[name]['real_time_factor']}", f"{measured[name]['largest_difference']}")
        for name in sizes
    ]
    print(grid_markdown(Grid("", ("file", "MB", "real-time factor", "largest difference of a posterior"), tuple(rows))))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"onnx_speed.py: {error}")

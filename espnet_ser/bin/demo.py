"""A web page that tells emotion, gender and words of what is uploaded or recorded; or the folder of a Hugging Face Space."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, add_model_options, whole_number
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser demo",
        description=__doc__,
        epilog="example: espnet-ser demo --model exp/asr_gender_skip__ser/fold1 --model exp/stage1/asr_gender_skip/fold1",
    )
    of_model = "as of espnet-ser predict; several times for an ensemble, or for one that knows words; "
    of_model += "default exp/asr_gender_skip__ser"
    of_space = "write the page's Space into this new folder, and serve nothing; --model is then a name of the hub, or what "
    of_space += "stage 7 left (exp/NAME/packed/fold1), which goes into the folder"
    add_model_options(parser, of_model)
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on; 0.0.0.0 for other machines too")
    parser.add_argument(
        "--allow_host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that the page is reached by besides this machine's, as that of a proxy; several times for several",
    )
    parser.add_argument("--port", type=whole_number(1, 65535), help="default the first free one from 7860")
    parser.add_argument("--max_seconds", type=whole_number(1, 3600), default=300, help="longer recordings are refused")
    parser.add_argument("--space", type=Path, metavar="DIR", help=of_space)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Serves the page until a signal ends it, or writes a Space. Raises InputError when Gradio is missing, a model cannot be
    loaded, or the port is taken.
    """
    args = get_parser().parse_args(argv)
    if args.space:
        from espnet_ser.demo.space import write_space

        write_space(args.space, args.model or [], args.max_seconds)
        say(f"{args.space}: a Space; try it with 'python {args.space}/app.py', publish it with")
        say(f"  hf upload OWNER/NAME {args.space} --repo-type space")
        return
    from espnet_ser.demo.serving import serve

    serve(args.model, args.device, args.selection, args.host, args.port, args.max_seconds, args.allow_host)

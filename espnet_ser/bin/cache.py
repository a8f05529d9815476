"""Lists or removes caches of what is frozen; a training makes again what it misses."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser cache", description=__doc__, epilog="example: espnet-ser cache ls --cache_dir dump/cache"
    )
    parser.add_argument("action", choices=("ls", "rm"), help="list them, or remove those that are named")
    parser.add_argument("names", nargs="*", help="rm: names of caches as ls shows them, or 'all'")
    parser.add_argument("--cache_dir", type=Path, default=Path("dump/cache"), help="where caches lie")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table of the caches, or removes some."""
    args = get_parser().parse_args(argv)
    from espnet_ser.data.frame_cache import list_caches, remove_cache
    from espnet_ser.errors import InputError, unknown_name

    caches = {cache.folder.name: cache for cache in list_caches(args.cache_dir)}
    if args.action == "rm":
        if not args.names:
            raise InputError("rm: which? Name caches as ls shows them, or 'all'")
        names = list(caches) if args.names == ["all"] else args.names
        for name in names:
            if name not in caches:
                raise unknown_name("cache", name, caches, where=str(args.cache_dir))
        for name in names:
            remove_cache(caches[name].folder)
            say(f"{name}: removed")
        return
    if args.names:
        raise InputError(f"ls takes no names, got {args.names[0]!r}")
    say(f"{'cache':28} {'utterances':>10} {'MB':>9}  written")
    for name, cache in caches.items():
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime(cache.written_s))
        say(f"{name:28} {cache.num_utts:10} {cache.num_bytes / 1e6:9.1f}  {written}")
    say(f"{len(caches)} caches in {args.cache_dir}, {sum(cache.num_bytes for cache in caches.values()) / 1e6:.1f} MB")

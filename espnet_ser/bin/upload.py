"""Stage 8: a packed fold to a repository of the Hugging Face hub; private by default."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.bin.parser import CommandParser
from espnet_ser.utils.say import say


def get_parser() -> argparse.ArgumentParser:
    """The options of stage 8."""
    parser = CommandParser(
        prog="espnet-ser upload",
        description=f"{__doc__} The token is HF_TOKEN's, or the one that 'hf auth login' keeps.",
        epilog="example: espnet-ser upload --packed exp/asr_gender_skip__ser/packed --repo me/my-model --dry_run true",
    )
    parser.add_argument("--packed", type=Path, required=True, help="what stage 7 left: exp/<system>/packed")
    parser.add_argument("--fold", default="", help="the packed fold to upload; not needed where there is one")
    parser.add_argument("--repo", required=True, help="the repository, owner/name; made where there is none")
    parser.add_argument("--private", default="true", choices=("true", "false"), help="seen by its owner alone")
    parser.add_argument("--dry_run", default="false", choices=("true", "false"), help="list what would go, and send nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Lists the files, and sends them."""
    args = get_parser().parse_args(argv)
    from espnet_ser.errors import InputError
    from espnet_ser.layout import CARD_FILE, packed_stamp, trained_folds
    from espnet_ser.publish.upload import upload
    from espnet_ser.utils.stamp import Stamp

    folds = trained_folds(args.packed, args.fold)
    if len(folds) != 1:
        found = f"folds {' '.join(folds)} are packed; say which with --fold" if folds else "no packed fold; run stage 7"
        raise InputError(f"{args.packed}: {found}")
    (folder,) = folds.values()
    stamp = Stamp(packed_stamp(folder))
    changes = stamp.changed_outputs(below=f"{folder.name}/") if stamp.path.exists() else []  # none of a copy
    if damaged := [change for change in changes if not change.startswith(f"output {folder.name}/{CARD_FILE}: changed")]:
        raise InputError(f"{folder}: {'; '.join(damaged[:3])}; run stage 7 again, which packs it anew")
    dry_run = args.dry_run == "true"
    names = upload(folder, args.repo, private=args.private == "true", dry_run=dry_run)
    for name in names:
        say(f"{(folder / name).stat().st_size:13,}  {name}")
    seen = "private" if args.private == "true" else "seen by everybody"
    verb = "would go" if dry_run else "went"
    say(f"{len(names)} files {verb} to {args.repo} ({seen})")

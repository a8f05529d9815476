"""Command lines that ``espnet-ser`` must refuse."""

from pathlib import Path

from tiny_recipe import CONF

from espnet_ser.bin.main import COMMANDS


def words(*argv):
    """The case of a command line that reads nothing of the room; a path in it is below the room."""
    return lambda room: [room.root / word if isinstance(word, Path) else word for word in argv]


def on_data(command, *more):
    """A command on a data directory with one fold."""
    return lambda room: (command, "--conf", CONF, "--datadir", room.datadir, "--expdir", room.root / "exp", *more)


def training(*more):
    return lambda room: room.training(*more)


def taken(room):
    (room.root / "release").mkdir()
    (room.root / "release" / "mine.txt").touch()
    return ("synthesize", "--output", room.root / "release", "--num_utts", "20", "--audio", "noise")


def cached(*more):
    def case(room):
        (room.root / "cache" / "cnn-1").mkdir(parents=True)
        (room.root / "cache" / "cnn-1" / ".lock").touch()
        return ("cache", *more, "--cache_dir", room.root / "cache")

    return case


WANT_MORE = (
    "table",
    "train",
    "select",
    "score",
    "seeds",
    "gradients",
    "synthesize",
    "prepare",
    "folds",
    "compare",
    "cache",
    "pack",
    "upload",
    "launch",
)
CASES = {
    f"{command}: an unknown option": (words(command, "--no_such_option", "1"), "--no_such_option")
    for command in COMMANDS
    if command not in (*WANT_MORE, "progress")
}
CASES |= {
    "no command": (words(), "the following arguments are required: command"),
    "an unknown command": (words("trian"), "unknown command 'trian' (did you mean 'train'?)"),
    "a command without a letter": (words(""), "unknown command ''"),
    "a command of two lines": (words("train\nscore"), "unknown command 'train\\nscore'"),
    "an option before the command": (words("--nj", "2", "prepare"), "(--help lists the commands)"),
    "prepare: no release": (words("prepare"), "the following arguments are required: --iemocap"),
    "prepare: an empty name for the data": (lambda room: room.prepare("--datadir", ""), "--datadir: an empty name"),
    "prepare: 0 processes": (lambda room: room.prepare("--nj", "0"), "--nj: must be a whole number from 1, not '0'"),
    "prepare: NaN processes": (lambda room: room.prepare("--nj", "nan"), "--nj: must be a whole number from 1, not 'nan'"),
    "prepare: a number of 5000 digits": (lambda room: room.prepare("--nj", "9" * 5000), "must be a whole number from 1"),
    "prepare: an unknown way to fold": (lambda room: room.prepare("--folds_by", "sesion"), "did you mean 'session'"),
    "prepare: a mistyped option": (lambda room: room.prepare("--datadr", "x"), "did you mean '--datadir'"),
    "prepare: a name of 300 letters": (lambda room: room.prepare(of=room.root / ("x" * 300)), "File name too long"),
    "prepare: a path of 5000 letters": (lambda room: room.prepare(of=room.root / ("x/" * 2500)), "File name too long"),
    "prepare: a name of two lines": (lambda room: room.prepare(of="two\nlines"), "two\\nlines: 1 problem found"),
    "prepare: a name that is a command": (lambda room: room.prepare(of="$(touch harm)"), "$(touch harm): 1 problem found"),
    "tokens: an unknown fold": (lambda room: room.tokens("--folds", "2"), "unknown fold '2'"),
    "tokens: a fold twice": (lambda room: room.tokens("--folds", "1 1"), "a fold is named twice"),
    "folds: no corpus": (words("folds"), "the following arguments are required: --data"),
    "folds: a corpus that is not there": (words("folds", "--data", Path("nowhere")), "nowhere: no such data directory"),
    "folds: one fold": (words("folds", "--data", "x", "--folds_by", "1"), "or a number of folds from 2, not '1'"),
    "folds: an unknown way to fold": (
        words("folds", "--data", "x", "--folds_by", "sesion"),
        "takes session, speaker, utt2fold",
    ),
    "tokens: a fold that climbs": (lambda room: room.tokens("--folds", "../fold1"), "unknown fold '../fold1'"),
    "tokens: 0 BPE tokens": (lambda room: room.tokens("--token_type", "bpe", "--nbpe", "0"), "--nbpe: must be a whole number"),
    "tokens: more BPE tokens than the text gives": (
        lambda room: room.tokens("--token_type", "bpe", "--nbpe", "30000"),
        "cannot train 30000 BPE tokens on",
    ),
    "tokens: a trillion BPE tokens": (
        lambda room: room.tokens("--token_type", "bpe", "--nbpe", str(10**12)),
        "--nbpe: must be a whole number",
    ),
    "tokens: an unknown kind": (lambda room: room.tokens("--token_type", "word"), "unknown value 'word'"),
    "tokens: a file for a folder": (
        lambda room: room.tokens("--dumpdir", room.train / "text"),
        "cannot write: Not a directory; free space or name another folder",
    ),
    "train: no encoder": (words("train", "--system", "stl", "--stage", "ser"), "are required: --ssl"),
    "train: a value missing": (training("--seed"), "--seed: expected one argument"),
    "train: fold 0": (training("--job", "0"), "--job 0: there are 1 folds"),
    "train: fold 99": (training("--job", "99"), "--job 99: there are 1 folds"),
    "train: a finetuning that the system lacks": (training("--stage", "stage1"), "has no intermediate finetuning"),
    "train: seed -1": (training("--seed", "-1"), "--seed: must be a whole number from 0 to 4294967295, not '-1'"),
    "train: a seed of 70 bits": (training("--seed", str(2**70)), "--seed: must be a whole number from 0 to 4294967295"),
    "train: -1 GPUs": (training("--ngpu", "-1"), "--ngpu: must be a whole number from 0"),
    "train: 999 GPUs": (training("--ngpu", "999"), "--ngpu 999: torch finds"),
    "train: a tag that climbs": (training("--tag", "x/../../up"), "takes letters, digits"),
    "train: a tag of two lines": (training("--tag", "a\nb"), "takes letters, digits, '.', '_' and '-', not 'a\\nb'"),
    "train: a tag that is another system's": (training("--tag", "n8"), "would be that of the system stl_n8"),
    "train: an unknown precision": (training("--cache_dtype", "int8"), "unknown value 'int8'"),
    "select: no system": (words("select"), "the following arguments are required: --system"),
    "select: before training": (on_data("select", "--system", "stl"), "run stage 4"),
    "score: before training": (on_data("score", "--system", "stl"), "run stage 5 again"),
    "score: before stage 1": (words("score", "--system", "stl", "--conf", CONF), "has no folds: run stage 1"),
    "pack: no system": (words("pack"), "the following arguments are required: --system"),
    "pack: before training": (on_data("pack", "--system", "stl", "--onnx", "false"), "run stage 5 again"),
    "pack: an unknown fold": (on_data("pack", "--system", "stl", "--fold", "7"), "--fold: unknown fold '7'"),
    "pack: a fold that climbs": (on_data("pack", "--system", "stl", "--fold", "../up"), "--fold: unknown fold '../up'"),
    "upload: no repository": (words("upload", "--packed", Path("x")), "the following arguments are required: --repo"),
    "upload: nothing packed": (words("upload", "--packed", Path("x"), "--repo", "a/b"), "no packed fold; run stage 7"),
    "upload: maybe private": (
        words("upload", "--packed", Path("x"), "--repo", "a/b", "--private", "yes"),
        "--private: unknown value 'yes'",
    ),
    "table: neither a table nor systems": (on_data("table", "--ssl", "x"), "which systems? Give --table"),
    "table: table 7": (on_data("table", "--ssl", "x", "--table", "7"), "unknown table '7'"),
    "table: a row of another table": (
        on_data("table", "--ssl", "x", "--table", "3", "--systems", "stl_n4"),
        "table 3: unknown",
    ),
    "table: 0 jobs": (on_data("table", "--ssl", "x", "--table", "1", "--nj", "0"), "--nj"),
    "table: an unknown job runner": (on_data("table", "--ssl", "x", "--table", "1", "--train_cmd", "q.pl"), "no such command"),
    "report: an unknown table": (words("report", "--table", "9", "--conf", CONF), "unknown value '9'"),
    "report: no configurations": (words("report", "--conf", Path("nowhere")), "no system's file there"),
    "report: a tag that climbs": (words("report", "--conf", CONF, "--tag", "/../../up"), "takes letters, digits"),
    "seeds: one alone": (words("seeds", "--system", "stl", "--conf", CONF, "--seeds", "1"), "name two seeds or more"),
    "seeds: one twice": (words("seeds", "--system", "stl", "--conf", CONF, "--seeds", "1 01"), "each once"),
    "seeds: words": (words("seeds", "--system", "stl", "--conf", CONF, "--seeds", "one two"), "whole numbers"),
    "compare: one system": (words("compare", "stl"), "the following arguments are required: B"),
    "compare: systems that are not there": (words("compare", "a", "b", "--expdir", Path("exp")), "a: no such folder, nor one"),
    "compare: an empty name": (
        words("compare", "", "b", "--expdir", Path("exp")),
        "an empty name; give a system's experiment folder",
    ),
    "compare: 0 draws": (words("compare", "a", "b", "--draws", "0"), "--draws must be 1 to 1000000, not 0"),
    "compare: a billion draws": (words("compare", "a", "b", "--draws", "1000000000"), "--draws must be 1 to 1000000"),
    "compare: infinitely many draws": (words("compare", "a", "b", "--draws", "inf"), "invalid int value: 'inf'"),
    "compare: seed -1": (words("compare", "a", "b", "--seed", "-1"), "--seed must be 0 or more, not -1"),
    "compare: an unknown choice of epochs": (
        words("compare", "a", "b", "--selection", "best"),
        "known: dev, last, oracle, others",
    ),
    "gradients: of one task": (
        on_data("gradients", "--ssl", "x", "--system", "stl"),
        "there are no gradients to compare",
    ),
    "gradients: every 0 steps": (
        on_data("gradients", "--ssl", "x", "--system", "mtl_asr", "--every", "0"),
        "--every must be 1",
    ),
    "cache: no action": (words("cache"), "the following arguments are required: action"),
    "cache: an unknown action": (words("cache", "remove"), "unknown value 'remove'"),
    "cache: remove, but which?": (words("cache", "rm"), "rm: which?"),
    "cache: remove what is not there": (cached("rm", "cnn-2"), "unknown cache 'cnn-2' (did you mean 'cnn-1'?)"),
    "cache: remove what is outside": (cached("rm", "../cache"), "unknown cache '../cache'"),
    "cache: list, with a name": (words("cache", "ls", "cnn-1"), "ls takes no names"),
    "demo: port 0": (words("demo", "--port", "0"), "--port: must be a whole number from 1 to 65535, not '0'"),
    "demo: recordings of a day": (
        words("demo", "--max_seconds", "86400"),
        "--max_seconds: must be a whole number from 1 to 3600",
    ),
    "demo: an address of somebody else": (
        words("demo", "--host", "192.0.2.1"),
        "--host 192.0.2.1: not an address of this machine",
    ),
    "demo: no address": (words("demo", "--host", "no host"), "--host no host: no such address"),
    "demo: a model that is not there": (words("demo", "--model", Path("nowhere")), "nowhere: no such model"),
    "demo: an unknown choice of epochs": (words("demo", "--selection", "best"), "known: dev, last, oracle, others"),
    "demo: a Space of nothing": (words("demo", "--space", Path("x")), "--space: of which --model?"),
    "demo: a Space of what is not packed": (
        lambda room: ("demo", "--space", room.root / "x", "--model", room.datadir),
        "not a packed fold; run stage 7",
    ),
    "demo: a Space of a name of two lines": (words("demo", "--space", Path("x"), "--model", "me/a\nb"), "check it"),
    "demo: a Space where something is": (
        lambda room: ("demo", "--space", room.datadir, "--model", "me/a"),
        "name a new folder",
    ),
    "systems: the intermediate finetuning of none": (
        words("systems", "--conf", CONF, "--print", "stage1"),
        "--print stage1 needs --system",
    ),
    "progress: of nothing": (words("progress"), "the following arguments are required: folders"),
    "progress: every NaN seconds": (words("progress", "x", "--every", "nan"), "--every must be 0 or more seconds, not nan"),
    "progress: every -1 seconds": (words("progress", "x", "--every", "-1"), "--every must be 0 or more seconds, not -1.0"),
    "synthesize: nowhere": (words("synthesize"), "the following arguments are required: --output"),
    "synthesize: an empty name": (words("synthesize", "--output", ""), "--output: an empty name"),
    "synthesize: 5 utterances": (words("synthesize", "--output", Path("x"), "--num_utts", "5"), "20 to 10039"),
    "synthesize: a billion utterances": (words("synthesize", "--output", Path("x"), "--num_utts", str(10**9)), "20 to 10039"),
    "synthesize: -2 processes": (
        words("synthesize", "--output", Path("x"), "--nj", "-2"),
        "--nj: must be a whole number from 1",
    ),
    "synthesize: where something else is": (taken, "exists and is not a synthetic release"),
}

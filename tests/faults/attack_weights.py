"""Files of weights that are code, or claim to hold more than they do."""

import os
import pickle
import zipfile
from collections import OrderedDict

import torch
from ground import Attacks, Ground

WEIGHTS = Attacks()


class Bomb:
    """Unpickles by making a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mknod, (str(self.path),))


class Storage:
    """Pickled as the mark by which torch finds a tensor's values."""

    def __init__(self, numel: int):
        self.identifier = ("storage", torch.FloatStorage, "0", "cpu", numel)


class Stored:
    """Pickled as a tensor of so many values."""

    def __init__(self, numel: int, shape: tuple[int, ...], stride: tuple[int, ...] = (1,)):
        self.arguments = (Storage(numel), 0, shape, stride, False, OrderedDict())

    def __reduce__(self):
        return (torch._utils._rebuild_tensor_v2, self.arguments)


class TorchPickler(pickle.Pickler):
    """Writes the pickle of a file of weights."""

    def persistent_id(self, obj):
        return obj.identifier if isinstance(obj, Storage) else None


def write_weights(path, content: bytes | dict, values: bytes = bytes(4), **options):
    """A file as ``torch.save`` lays it out, of whatever content."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        if isinstance(content, dict):
            with archive.open("x/data.pkl", "w") as file:
                TorchPickler(file, protocol=2).dump(content)
        else:
            archive.writestr("x/data.pkl", content)
        archive.writestr("x/data/0", values)
        archive.writestr("x/version", "3\n")


def load_anything(ground: Ground, source) -> bool:
    """As ESPnet and many scripts load a checkpoint."""
    torch.load(source / "latest.pth", weights_only=False)
    return ground.harm.exists()


def takes_far_more(ground: Ground, source) -> bool:
    """Whether tensors come out that are hundreds of times larger than the file."""
    path = source / "latest.pth"
    weights = torch.load(path, weights_only=True)
    return sum(tensor.numel() * 4 for tensor in weights.values()) > 300 * path.stat().st_size


@WEIGHTS.add(
    "weights: a pickle that makes a file", "not a file of weights, or one in the format of PyTorch before 1.6", load_anything
)
def _(ground):
    torch.save({"a": Bomb(ground.harm)}, ground.model / "1epoch.pth", _use_new_zipfile_serialization=False)
    return ground.model


@WEIGHTS.add("weights: a pickle that makes a file, inside a zip", "it names posix.mknod", load_anything)
def _(ground):
    torch.save({"a": Bomb(ground.harm)}, ground.model / "1epoch.pth")
    return ground.model


@WEIGHTS.add(
    "weights: a pickle that makes a file, inside an archive of the model",
    "it names posix.mknod",
    lambda g, s: load_anything(g, g.model),
)
def _(ground):
    torch.save({"a": Bomb(ground.harm)}, ground.model / "1epoch.pth")
    return ground.zip()


@WEIGHTS.add("weights: compressed zeros", "is compressed or encrypted", takes_far_more)
def _(ground):
    write_weights(ground.model / "1epoch.pth", {"a": Stored(1 << 22, (1 << 22,))}, bytes(4 << 22), compression=8)
    return ground.model


@WEIGHTS.add("weights: a tensor that repeats a single value", "with 1 values", takes_far_more)
def _(ground):
    torch.save({"a": torch.ones(1).expand(1 << 30)}, ground.model / "1epoch.pth")
    return ground.model


@WEIGHTS.add("weights: many tensors made of the same values", "are made of the same", takes_far_more)
def _(ground):
    values = torch.ones(100_000)
    torch.save({f"a{number}": values for number in range(1000)}, ground.model / "1epoch.pth")
    return ground.model


@WEIGHTS.add("weights: more values announced than there are", "announced in record '0'")
def _(ground):
    write_weights(ground.model / "1epoch.pth", {"a": Stored(10**12, (10**12,))})
    return ground.model


@WEIGHTS.add("weights: a tensor that reaches past its values, into other memory", "a tensor of shape [2] with 1 values")
def _(ground):
    write_weights(ground.model / "1epoch.pth", {"a": Stored(1, (1, 1), (1, 1)), "b": Stored(1, (2,), (1000,))})
    return ground.model


@WEIGHTS.add("weights: a pickle that claims two thousand million objects", "parameters are missing")
def _(ground):
    write_weights(ground.model / "1epoch.pth", b"\x80\x02}r\xff\xff\xff\x7f.")
    return ground.model


@WEIGHTS.add("weights: a pickle that changes what it is read with", "it names pickle.Unpickler")
def _(ground):
    state = b"(cpickle\nUnpickler\nX\x04\x00\x00\x00load(K\x01tu}b."
    write_weights(ground.model / "1epoch.pth", b"\x80\x02" + state)
    return ground.model


@WEIGHTS.add("weights: a quantised tensor", "_rebuild_qtensor")
def _(ground):
    torch.save({"a": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)}, ground.model / "1epoch.pth")
    return ground.model


@WEIGHTS.add("weights: a sparse tensor", "_rebuild_sparse_tensor")
def _(ground):
    torch.save({"a": torch.ones(2, 2).to_sparse()}, ground.model / "1epoch.pth")
    return ground.model


@WEIGHTS.add("weights: a program for torch's own interpreter (TorchScript)", "/code/__torch__")
def _(ground):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(ground.model / "1epoch.pth"))
    return ground.model


@WEIGHTS.add("weights: names that would rewrite the terminal", "knows nothing of: \\x1b[2J\\n")
def _(ground):
    weights = torch.load(ground.model / "1epoch.pth", weights_only=True)
    torch.save({**weights, "\x1b[2J\nespnet-ser: all is well": torch.ones(1)}, ground.model / "1epoch.pth")
    return ground.model


@WEIGHTS.add("weights: whole numbers for fractions", "values of type torch.int64")
def _(ground):
    weights = torch.load(ground.model / "1epoch.pth", weights_only=True)
    torch.save({name: tensor.long() for name, tensor in weights.items()}, ground.model / "1epoch.pth")
    return ground.model

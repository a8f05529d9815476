"""What a file of weights holds, known before any of it is taken into memory, and without running what it brings along.

PyTorch's files are zip archives of a pickle, which says where tensors lie, and their raw values. ``torch.load`` with
``weights_only`` runs no code from them, but takes as much memory as they ask for. So they are read here first, as a list of
names and shapes, and a file that claims more than it holds is refused.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch

from espnet_ser.errors import InputError
from espnet_ser.utils.bounded import BoundedReads

MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
_PICKLE_BYTES = 16 << 20
_DIRECTORY_BYTES = 16 << 20
_HEADER_BYTES = 16 << 20
_OTHER_RECORDS = {"data.pkl", "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"}
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_SAFETENSORS = {
    "F32": torch.float32,
    "F64": torch.float64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class StoredTensor(NamedTuple):
    """A tensor in a file."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def tensors_in_torch_file(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file that ``torch.save`` wrote from a state dict, by name. Raises InputError when it is missing,
    damaged, in PyTorch's former format, or holds anything but plain tensors that each have their own values in it.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise InputError(
                    f"{path}: damaged, not a file of weights, or one in the format of PyTorch before 1.6, which is not read: "
                    f"load it where you trust it, and torch.save its state dict again"
                )
            with zipfile.ZipFile(BoundedReads(file, _DIRECTORY_BYTES)) as archive:
                records, prefix = _records(archive)
                reader = _ShapeReader(archive.read(f"{prefix}data.pkl"), records)
                return _plain_tensors(reader.load(), reader.storages)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except Exception as error:  # whatever a reader says of a file made to confuse it
        raise InputError(f"{path}: damaged, or not a file of weights ({first_line(error)}); get it again") from error


def check_checksums(path: Path) -> None:
    """Holds a file that ``torch.save`` wrote against the checksums in it, which ``torch.load`` does not look at. Raises
    ValueError when a part is not as it was written; BadZipFile when the file is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} does not match its checksum")


def is_in_former_format(path: Path) -> bool:
    """Whether PyTorch before 1.6 wrote a file, or one asked to write as it did: a pickle, not an archive."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x80\x02"


def tensors_in_safetensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file in the safetensors format, by name. Raises InputError when it is missing, damaged, or holds types
    that no encoder has.
    """
    from safetensors import safe_open

    try:
        with open(path, "rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > _HEADER_BYTES:
            raise ValueError(f"a header of {header_bytes:,} bytes")
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in list(file.keys())}
            return {name: StoredTensor(tuple(s.get_shape()), _SAFETENSORS[s.get_dtype()]) for name, s in slices.items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or first_line(error)}; check the path") from error
    except Exception as error:
        raise InputError(f"{path}: damaged, or not a file of weights ({first_line(error)}); get it again") from error


def first_line(error: Exception) -> str:
    """What an error of a library says, as a part of a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _records(archive: zipfile.ZipFile) -> tuple[dict[str, int], str]:
    """Storage -> its size in bytes; and the name of the folder that everything lies in."""
    infos = archive.infolist()
    if len(infos) > MAX_TENSORS:
        raise ValueError(f"{len(infos)} records")
    prefix = infos[0].orig_filename.partition("/")[0] + "/"
    sizes: dict[str, int] = {}
    for info in infos:
        name = info.orig_filename.removeprefix(prefix)
        if not info.orig_filename.startswith(prefix) or not (name in _OTHER_RECORDS or name.startswith("data/")):
            raise ValueError(f"it holds {info.orig_filename[:80]!r}")
        if name in sizes:
            raise ValueError(f"it holds {name[:80]!r} twice")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 0x41:
            raise ValueError(f"{name[:80]!r} is compressed or encrypted, which torch.save does not do")
        if name in _OTHER_RECORDS and info.file_size > _PICKLE_BYTES:
            raise ValueError(f"{name} has {info.file_size:,} bytes")
        sizes[name] = info.file_size
    if "byteorder" in sizes and archive.read(f"{prefix}byteorder") != b"little":
        raise ValueError("it was written on a machine with another byte order")
    return {name.removeprefix("data/"): size for name, size in sizes.items() if name.startswith("data/")}, prefix


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    numel: int


class _View(NamedTuple):
    storage: _Storage
    shape: tuple[int, ...]


class _TensorMaker:
    """Stands where a file names the function that makes a tensor of a storage, and notes what it would make. Like
    :class:`_ParameterMaker` it has nothing that a pickle could change, as the function would.
    """

    __slots__ = ()

    def __call__(self, storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None) -> _View:
        shape, stride = tuple(size), tuple(stride)
        numbers = (offset, *shape, *stride)
        if not isinstance(storage, _Storage) or not len(shape) == len(stride) <= MAX_DIMENSIONS or metadata:
            raise pickle.UnpicklingError("a tensor of an uncommon kind")
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise pickle.UnpicklingError("a tensor whose shape is not one")
        last = offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
        if prod(shape) > storage.numel or (0 not in shape and last >= storage.numel):
            raise pickle.UnpicklingError(f"a tensor of shape {list(shape)} with {storage.numel} values")
        return _View(storage, shape)


class _ParameterMaker:
    """As :class:`_TensorMaker`, for what is wrapped as a parameter."""

    __slots__ = ()

    def __call__(self, data, requires_grad=False, hooks=None) -> _View:
        return data


class _ShapeReader(pickle._Unpickler):
    """Reads a pickle of tensors as their shapes: it knows no class or function but those below, and builds no tensor. The one
    in C sets aside memory for as many objects as a file claims to have.
    """

    KNOWN = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _TensorMaker(),
        ("torch._utils", "_rebuild_parameter"): _ParameterMaker(),
        **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    }

    def __init__(self, content: bytes, records: Mapping[str, int]):
        super().__init__(BytesIO(content))
        self._records = records
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it names {module[:80]}.{name[:80]}, and weights are plain tensors")
        return self.KNOWN[module, name]

    def persistent_load(self, identifier: object) -> _Storage:
        kind, dtype, key, _location, numel = identifier
        if kind != "storage" or not isinstance(dtype, torch.dtype) or type(key) is not str or type(numel) is not int:
            raise pickle.UnpicklingError("a tensor of an uncommon kind")
        if self._records.get(key) != numel * dtype.itemsize:
            raise pickle.UnpicklingError(f"{numel} values of {dtype} are announced in record {key[:80]!r}, which has others")
        return self.storages.setdefault(key, _Storage(key, dtype, numel))


def _plain_tensors(content: object, storages: Mapping[str, _Storage]) -> dict[str, StoredTensor]:
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not tensors by name")
    tensors: dict[str, StoredTensor] = {}
    for name, view in dict.items(content):  # a pickle can give the mapping attributes of its own
        if type(name) is not str or not isinstance(view, _View):
            raise ValueError(f"{str(name)[:80]!r} is not a tensor with a name")
        tensors[name] = StoredTensor(view.shape, view.storage.dtype)
    claimed = sum(prod(tensor.shape) * tensor.dtype.itemsize for tensor in tensors.values())
    stored = sum(storage.numel * storage.dtype.itemsize for storage in storages.values())
    if claimed > stored:
        raise ValueError(f"tensors of {claimed:,} bytes are made of the same {stored:,}")
    return tensors

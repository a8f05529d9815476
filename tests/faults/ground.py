"""Where attacks are tried: a model to spoil, a place where a naive loader unpacks, and a file that must never appear."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from espnet_ser.model_io.load import load_model


class Ground:
    """A folder of its own for one attack.

    Args:
        root: Empty.
        model: A trained model's folder, which is copied.
    """

    def __init__(self, root: Path, model: Path):
        self.root = root
        self.harm = root / "harm"  # besides every folder that an archive is unpacked into
        self.naive = root / "naive"
        self.model = Path(shutil.copytree(model, root / "model", symlinks=True))

    def clear(self) -> None:
        """Removes what a naive loader did."""
        self.harm.unlink(missing_ok=True)
        shutil.rmtree(self.naive, ignore_errors=True)

    def everything(self) -> dict[str, tuple[int, int, int]]:
        """Every file and folder: its kind, size and time of change."""
        paths = sorted(self.root.rglob("*"))
        return {str(path): (s.st_mode, s.st_size, s.st_mtime_ns) for path in paths if (s := path.lstat())}

    def model_files(self) -> dict[str, Path]:
        """Name within the model -> file."""
        return {str(path.relative_to(self.model)): path for path in sorted(self.model.rglob("*")) if path.is_file()}

    def zip(self, *members: tuple[zipfile.ZipInfo | str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
        """The model as a zip, with further members."""
        path = self.root / "model.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, file in self.model_files().items():
                archive.write(file, name)
            for info, content in members:
                archive.writestr(info, content)
        return path

    def tar(self, *members: tuple[tarfile.TarInfo, bytes], gz: bool = False) -> Path:
        """The model as a tar or tar.gz, with further members."""
        path = self.root / ("model.tar.gz" if gz else "model.tar")
        with tarfile.open(path, "w:gz" if gz else "w", dereference=True) as archive:
            for name, file in self.model_files().items():
                archive.add(file, name)
            for info, content in members:
                info.size = len(content) if content else info.size
                archive.addfile(info, BytesIO(content))
        return path


@dataclass(frozen=True)
class Attack:
    """What a stranger might send.

    Attributes:
        name: A row's name.
        because: What the line says, so that it is refused for what is wrong with it.
        prepare: Makes it on a ground; returns what the user is led to load.
        naive: Loads it as code that trusts it would; returns whether that did harm.
        load: Loads it as this package does.
    """

    name: str
    because: str
    prepare: Callable[[Ground], Path]
    naive: Callable[[Ground, Path], bool] | None = None
    load: Callable[[Path], object] = load_model


class Attacks(list):
    """A list that the functions which prepare attacks are added to."""

    def add(self, name: str, because: str, naive: Callable | None = None, load: Callable = load_model) -> Callable:
        """Decorates a function that prepares an attack."""

        def note(prepare: Callable[[Ground], Path]) -> Callable:
            self.append(Attack(name, because, prepare, naive, load))
            return prepare

        return note

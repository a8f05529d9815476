"""The only place that touches the network: encoders and models by name, and the upload of a packed model."""

import re
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_folder import (
    CONFIG,
    PREPROCESSORS,
    WEIGHTS,
    read_index,
    wants_normalized_waveform,
    weights_files,
)
from espnet_ser.model_io.hub_errors import hub_errors_as_input_errors

MODEL_FILES = ("meta.yaml", "espnet/*/config.yaml", "espnet/*/*.pth", "espnet/*/tokens/*")
"""What is fetched of a model's repository on the hub: nothing in it is run."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII)
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


def resolve_encoder(name_or_dir: str, option: str = "--ssl") -> Path:
    """The local folder of an encoder: the folder itself, or a snapshot of the hub's repository of that name.

    Of a repository its configuration, what says how input is prepared, and one form of its weights are fetched. What was
    fetched before, by whatever program, is found again without a network, and only what it lacks is fetched. ``name_or_dir``: a
    folder with ``config.json`` and weights in transformers' format, or a hub name such as ``facebook/wav2vec2-base``, or
    ``facebook/wav2vec2-base@REVISION``: a branch, a tag or a commit. Raises InputError when it is neither, or cannot be
    fetched.
    """
    if not name_or_dir.strip():
        raise InputError(f"{option}: an empty name; name a folder that transformers saved, or a model of the hub")
    asked = f"{option} {name_or_dir}"
    folder = Path(name_or_dir)
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise InputError(f"{asked}: no config.json in this folder; name a folder that transformers saved")
        return folder.resolve()
    if folder.exists():
        raise InputError(f"{asked}: not a folder; name one that transformers saved (an archive must be unpacked first)")
    name, at, revision = name_or_dir.partition("@")
    if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise InputError(f"{asked}: no such folder")
    if at and not revision:
        raise InputError(f"{asked}: no revision after the @; name a branch, a tag or a commit, or leave the @ out")
    snapshot = _cached(name, [CONFIG], revision or None, asked)
    snapshot = snapshot if snapshot is not None and (snapshot / CONFIG).is_file() else None
    if snapshot is not None and _has_weights(snapshot) and _has_preprocessor(name, snapshot):
        return snapshot
    try:
        return _fetch_encoder(name, revision or None, snapshot, asked)
    except InputError:
        if snapshot is None or not _has_weights(snapshot):
            raise
        return snapshot  # whoever wants to know how its input is prepared asks for what is missing


def _fetch_encoder(name: str, revision: str | None, snapshot: Path | None, asked: str) -> Path:
    """Fetches what a snapshot of an encoder lacks, at the commit that it is of; all of it where there is none."""
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    with hub_errors_as_input_errors(asked):
        revision = snapshot.name if snapshot is not None else revision
        snapshot = Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, *PREPROCESSORS]))
        names = HfApi().list_repo_files(name, revision=snapshot.name)
        chosen = next((weights for weights in WEIGHTS if weights in names), None)
        if CONFIG not in names or chosen is None:
            raise InputError(f"{asked}: the hub's repository holds no configuration and weights that transformers can load")
        if not _has_weights(snapshot):
            files = [chosen]
            if chosen.endswith(".json"):
                index = Path(hf_hub_download(name, chosen, revision=snapshot.name))
                files += sorted(set(read_index(index).values()))
            snapshot_download(name, revision=snapshot.name, allow_patterns=files)
    if not _has_weights(snapshot):
        raise InputError(f"{asked}: the hub's repository lacks some of the files that {chosen} lists; take another revision")
    return snapshot


def fetch_model(name: str, cache_dir: Path | None = None) -> Path:
    """A trained model by name, as a local folder or archive that :func:`espnet_ser.model_io.load.load_model` takes.

    Args:
        name: A tag of ESPnet's model zoo (needs ``espnet_model_zoo``), or a repository of the Hugging Face hub that stage 8
            made: ``owner/name``, or ``owner/name@revision``. What was fetched before is found again without a network.
        cache_dir: Where to keep it; the zoo's and the hub's own caches where none is given.

    Returns:
        An archive, or the SER model's folder in a snapshot of the repository, with ``../stage1`` next to it
        where there is one.

    Raises:
        InputError: When there is no such model, or it cannot be fetched.
    """
    url = _zoo_url(name)
    if url is not None:
        return _fetch_archive(name, url, cache_dir)
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"{name}: neither a folder or archive here nor a name of a model, such as owner/name; check the name")
    repository, _, revision = name.partition("@")
    snapshot = _cached(repository, MODEL_FILES, revision or None, name, cache_dir)
    if snapshot is None or not _has_model(snapshot):  # never fetched, or a download that was cut short
        from huggingface_hub import snapshot_download

        where = {"allow_patterns": list(MODEL_FILES), "cache_dir": cache_dir, "revision": revision or None}
        with hub_errors_as_input_errors(name):
            snapshot = Path(snapshot_download(repository, **where))
    if _has_model(snapshot):
        return snapshot / "espnet" / "ser"
    raise InputError(f"{name}: the hub's repository holds no model of espnet-ser (espnet/ser); name one that stage 8 made")


def _cached(name: str, patterns: Sequence[str], revision: str | None, asked: str, cache_dir: Path | None = None) -> Path | None:
    """What the hub's cache holds of a repository; None where it is known to lack some of these files, or has none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    where = {"allow_patterns": list(patterns), "cache_dir": cache_dir, "revision": revision}
    with hub_errors_as_input_errors(asked):
        try:
            return Path(snapshot_download(name, **where, local_files_only=True))
        except LocalEntryNotFoundError:
            return None


def _has_weights(folder: Path) -> bool:
    try:
        return bool(weights_files(folder))
    except InputError:
        return False


def _has_preprocessor(name: str, snapshot: Path) -> bool:
    """Whether a snapshot says how input is prepared, or its repository is known to have nothing that would."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        wants_normalized_waveform(snapshot)
        return True
    except InputError:
        pass
    try:
        return not {file.path for file in get_cached_repo_tree(name, revision=snapshot.name)} & set(PREPROCESSORS)
    except CachedRepoTreeNotFoundError:
        return False


def _has_model(folder: Path) -> bool:
    return all((folder / "espnet" / "ser" / name).is_file() for name in ("config.yaml", "frozen.pth", "latest.pth"))


def _zoo_url(name: str) -> str | None:
    """Where ESPnet's model zoo keeps the archive of a tag; None for what is not in its table, or is on the hub."""
    import csv
    from importlib.util import find_spec

    zoo = find_spec("espnet_model_zoo")
    # The zoo's own reader takes any name that is not in its table for one of the hub.
    table = Path(zoo.origin).with_name("table.csv") if zoo is not None and zoo.origin else None
    if table is None or not table.is_file():
        return None
    with open(table, newline="", encoding="utf-8") as file:
        urls = [row["url"] for row in csv.DictReader(file) if row.get("name") == name and row.get("url")]
    return urls[-1] if urls and "huggingface.co" not in urls[-1] else None


def _fetch_archive(tag: str, url: str, cache_dir: Path | None) -> Path:
    from espnet_model_zoo.downloader import ModelDownloader, str_to_hash

    zoo = ModelDownloader(cache_dir)
    # The zoo asks the network for a file's name even where it has the file.
    known = [path for path in sorted((zoo.cachedir / str_to_hash(url)).glob("*")) if path.name.endswith(_ARCHIVES)]
    if known:
        return known[0]
    try:
        return Path(zoo.download(url))
    except Exception as error:  # whatever comes of a network that is not there
        raise InputError(
            f"{tag}: cannot be fetched from {url} ({_first_line(error)}); download it elsewhere and give the archive"
        ) from error


def _is_of_network(error: Exception) -> bool:
    """Whether an error is one of the connection; the hub's client lets those of its HTTP library pass."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

"""The upload of a packed model to the Hugging Face hub."""

from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.model_io.hub import _REPOSITORY, _first_line, _is_of_network


def upload(folder: Path, repo: str, private: bool = True, dry_run: bool = False) -> list[str]:
    """Uploads a packed fold to a repository of the Hugging Face hub, which is made where there is none.

    The token is that of the environment (``HF_TOKEN``), or the one that ``hf auth login`` keeps.

    Args:
        folder: What stage 7 left of a fold. Only what :mod:`espnet_ser.publish.allowlist` lets through goes anywhere.
        repo: The repository: ``owner/name``.
        private: Whether only its owner sees it. One that everybody sees is never taken for a private one.
        dry_run: Only say what would go; nothing is sent.

    Returns:
        The files, as paths within the folder and the repository.

    Raises:
        InputError: When the folder holds anything else, there is no token, or the hub refuses.
    """
    if not _REPOSITORY.fullmatch(repo) or "@" in repo:
        raise InputError(f"--repo {repo}: not a repository's name; give owner/name")
    from espnet_ser.publish.allowlist import publishable_files

    names = publishable_files(folder)
    if dry_run:
        return names

    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if get_token() is None:
        raise InputError("no token for the hub: set HF_TOKEN, or log in with 'hf auth login'")
    api = HfApi(library_name="espnet-ser")
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise InputError(f"--repo {repo}: everybody can see it; make it private on the hub, or give --private false")
        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
        api.create_commit(repo, additions, commit_message=f"Upload {folder.name}, packed by espnet-ser")
    except HFValidationError as error:
        raise InputError(f"--repo {repo}: no name that the hub takes ({_first_line(error)})") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise InputError(
            f"--repo {repo}: the hub refuses ({status}: {_first_line(error)}); check the name and what the token may do"
        ) from error
    except Exception as error:
        if isinstance(error, InputError) or not _is_of_network(error):
            raise
        raise InputError(f"--repo {repo}: the hub cannot be reached ({_first_line(error)}); run stage 8 again later") from error
    return names

"""What can go wrong with the Hugging Face hub, each as one line that says what to do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from espnet_ser.errors import InputError


@contextmanager
def hub_errors_as_input_errors(asked: str) -> Iterator[None]:
    """Turns whatever the hub's client raises while the body runs into one line; its warnings of what it tries are not shown.
    ``asked``: what was asked for, at the beginning of the line. Raises InputError: says what is wrong: the name, the revision,
    the right to read it, the network, the disk.
    """
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of its own, of its HTTP library, of the system, of whatever answers in a hub's place
        raise InputError(f"{asked}: {_what_to_do(error)}") from error
    finally:
        logging.set_verbosity(verbosity)


def _what_to_do(error: Exception) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    causes = list(_causes(error))
    http = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    hub = "the hub" if constants.ENDPOINT == "https://huggingface.co" else f"the hub at {constants.ENDPOINT}"
    elsewhere = "or download it elsewhere (hf download) and give its folder"
    if any(isinstance(cause, HFValidationError) for cause in causes):
        return "neither a folder nor a name that a hub could know"
    if isinstance(http, GatedRepoError):
        return (
            "the hub gives it to those alone who have agreed to its terms: do so on its page, then 'hf auth login' or HF_TOKEN"
        )
    if isinstance(http, RepositoryNotFoundError):
        return "neither a folder here nor a public model on the hub; check the name ('hf auth login' for a private one)"
    if isinstance(http, RevisionNotFoundError):
        return "the hub's repository has no such revision; check what follows the @"
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return f"not a folder here, nor whole in the hub's cache, and HF_HUB_OFFLINE is set: unset it once, {elsewhere}"
    if http is not None:
        return _of_status(http.response.status_code, hub, elsewhere)
    kinds = {type(cause).__name__ for cause in causes}
    if kinds & {"ConnectError", "ConnectTimeout", "ProxyError", "PoolTimeout", "UnsupportedProtocol", "InvalidURL"}:
        return f"not a folder here, and {hub} cannot be reached; check the network, {elsewhere}"
    of_disk = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    of_http = any(type(cause).__module__.startswith(("httpx", "httpcore")) for cause in causes)
    if (of_disk is not None and not of_http) or "No space left" in str(error):  # the latter from the library of large files
        reason = "No space left on device" if of_disk is None else os.strerror(of_disk.errno)
        return f"cannot be kept in the hub's cache, {constants.HF_HUB_CACHE}: {reason}; make room, or set HF_HOME elsewhere"
    if of_http or isinstance(error, OSError):
        if kinds & {"FileMetadataError"}:
            return f"{hub} does not answer as one does; check HF_ENDPOINT and what stands between, {elsewhere}"
        return f"the connection to {hub} broke; run again, which goes on with the files that are not whole yet, {elsewhere}"
    if isinstance(error, RuntimeError):  # of the library that fetches large files
        return f"the connection to {hub} broke ({_first_line(error)}); run again, {elsewhere}"
    return f"{hub} does not answer as one does ({_first_line(error)}); check HF_ENDPOINT and what stands between, {elsewhere}"


def _of_status(status: int, hub: str, elsewhere: str) -> str:
    if status in (401, 403):
        return f"{hub} does not let you read it ({status}); check the token (HF_TOKEN, 'hf auth login'), {elsewhere}"
    if status == 429:
        return f"{hub} has had too many requests from here (429); wait some minutes, {elsewhere}"
    if status >= 500:
        return f"{hub} is out of order ({status}); run again later, {elsewhere}"
    return f"{hub} refuses ({status}); check the name and HF_ENDPOINT, {elsewhere}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes of."""
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

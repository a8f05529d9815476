"""A trained model from its folder, or from an archive of it."""

from argparse import Namespace
from pathlib import Path

from espnet_ser.data.tokens import Tokenizer, load_tokenizer
from espnet_ser.errors import InputError
from espnet_ser.layout import FROZEN_FILE, MODEL_FILE, TOKENS_FOLDER
from espnet_ser.model_io.build import build_structure
from espnet_ser.model_io.model_config import read_config
from espnet_ser.model_io.model_folder import CONFIG_FILE, opened_model
from espnet_ser.model_io.weights import check_fit, load_weights, read_all_weights, some_names, stored_weights
from espnet_ser.models.ser_model import SERModel
from espnet_ser.tasks_table import of_kind

_PLACES = ("ssl", "stage1_dir", "cache_dir", "cache_folder")
"""Where things lay when the model was trained: nothing is looked for there when it is loaded."""


def load_model(source: Path | str, device: str = "cpu", model_file: Path | None = None) -> tuple[SERModel, Namespace]:
    """A trained model, in eval mode, and the configuration it was trained with.

    Nothing but the folder is read: the encoder's own configuration lies in ``config.yaml``. It may be a stranger's: no code in
    it is run, and it takes no more memory than its weights fill. ``source``: what stage 3 or 4 left for one fold, or a zip, tar
    or tar.gz of it; ``device``: ``cpu``, ``cuda``, ...; ``model_file``: what was trained as another epoch left it, not the last
    one. Returns the model, and its configuration; ``tokenizer`` in it spells its transcripts (None where it makes none).
    Raises InputError when a file is missing, damaged or not to be trusted, or the weights do not fit.
    """
    with opened_model(source) as found:
        folder = found.folder
        args = read_config(folder)
        for name in _PLACES:
            setattr(args, name, None)
        is_folder = Path(source).is_dir()
        args.tokenizer = _tokenizer(folder, args.token_list) if of_kind("ctc", args.tasks) else None
        args.token_dir = str(folder / TOKENS_FOLDER) if is_folder else None
        files = (folder / FROZEN_FILE, model_file or found.model_file or folder / MODEL_FILE)
        try:
            model = build_structure(args)
        except InputError as error:
            raise InputError(f"{folder / CONFIG_FILE}: {error}") from error
        _check_unknown(source, check_fit(model.state_dict(), stored_weights(files), source))
        # Of a pretrained encoder there is only the structure so far; all that it consists of is loaded, or refused above.
        assert dict(model.named_buffers()).keys() <= model.state_dict().keys()
        if any(parameter.is_meta for parameter in model.parameters()):
            model.to_empty(device="cpu")
        _check_unknown(source, load_weights(model, read_all_weights(files), source=source))
    return model.to(device).eval(), args


def _check_unknown(source: object, unused: list[str]) -> None:
    if unused:
        raise InputError(f"{source}: holds parameters that config.yaml knows nothing of: {some_names(unused)}")


def _tokenizer(folder: Path, token_list: list[str]) -> Tokenizer:
    tokenizer = load_tokenizer(folder / TOKENS_FOLDER)
    if tokenizer.tokens != token_list:
        raise InputError(f"{folder}: {TOKENS_FOLDER}/tokens.txt is not the token_list of config.yaml; train the model again")
    return tokenizer

"""From a trained model's folder, or an archive of it, to predictions."""

from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from espnet_ser.checkpoint import load_weights, read_all_weights, refuse_misfit, some_names, stored_weights
from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.data.datadir import Example
from espnet_ser.data.loader import BatchFactory, Labels, UtteranceDataset
from espnet_ser.data.tokens import Tokenizer, collapse, load_tokenizer
from espnet_ser.errors import InputError
from espnet_ser.model_config import check_model_config
from espnet_ser.model_folder import CONFIG_FILE, opened_model
from espnet_ser.models.ser_model import UTTERANCE_TASKS, SERModel
from espnet_ser.recipe import FROZEN_FILE, MODEL_FILE, TOKENS_FOLDER
from espnet_ser.yaml_mapping import read_yaml_mapping

BATCH_SAMPLES = 60 * SAMPLE_RATE
"""Samples in a batch of utterances that are predicted."""

_PLACES = ("ssl", "stage1_dir", "cache_dir", "cache_folder")
"""Where things lay when the model was trained: nothing is looked for there when it is loaded."""


def load_model(source: Path | str, device: str = "cpu", model_file: Path | None = None) -> tuple[SERModel, Namespace]:
    """A trained model, in eval mode, and the configuration it was trained with.

    Nothing but the folder is read: the encoder's own configuration lies in ``config.yaml``. It may be a stranger's: no code in
    it is run, and it takes no more memory than its weights fill.

    Args:
        source: What stage 3 or 4 left for one fold, or a zip, tar or tar.gz of it.
        device: ``cpu``, ``cuda``, ...
        model_file: What was trained as another epoch left it, not the last one.

    Returns:
        The model, and its configuration; ``tokenizer`` in it spells what the model transcribes (None without ``asr``).

    Raises:
        InputError: When a file is missing, damaged or not to be trusted, or the weights do not fit.
    """
    from espnet_ser.tasks.ser import SERTask

    with opened_model(source) as found:
        folder = found.folder
        args = read_config(folder)
        for name in _PLACES:
            setattr(args, name, None)
        is_folder = Path(source).is_dir()
        args.tokenizer = _tokenizer(folder, args.token_list) if "asr" in args.tasks else None
        args.token_dir = str(folder / TOKENS_FOLDER) if is_folder else None
        files = (folder / FROZEN_FILE, model_file or found.model_file or folder / MODEL_FILE)
        try:
            model = SERTask.build_structure(args)
        except InputError as error:
            raise InputError(f"{folder / CONFIG_FILE}: {error}") from error
        _refuse_unknown(source, refuse_misfit(model.state_dict(), stored_weights(files), source))
        # Of a pretrained encoder there is only the structure so far; all that it consists of is loaded, or refused above.
        assert dict(model.named_buffers()).keys() <= model.state_dict().keys()
        if any(parameter.is_meta for parameter in model.parameters()):
            model.to_empty(device="cpu")
        _refuse_unknown(source, load_weights(model, read_all_weights(files), source=source))
    return model.to(device).eval(), args


def _refuse_unknown(source: object, unused: list[str]) -> None:
    if unused:
        raise InputError(f"{source}: holds parameters that config.yaml knows nothing of: {some_names(unused)}")


def _tokenizer(folder: Path, token_list: list[str]) -> Tokenizer:
    tokenizer = load_tokenizer(folder / TOKENS_FOLDER)
    if tokenizer.tokens != token_list:
        raise InputError(f"{folder}: {TOKENS_FOLDER}/tokens.txt is not the token_list of config.yaml; train the model again")
    return tokenizer


def read_config(folder: Path) -> Namespace:
    """The ``config.yaml`` that training left in a folder, as far as the model is built from it, checked.

    Raises:
        InputError: When it is missing or no mapping, or a setting of the model is missing or not one that training leaves.
    """
    missing = "train the model first (stage 3 for stage-1 models, stage 4 for SER)"
    config = read_yaml_mapping(folder / CONFIG_FILE, missing)
    check_model_config(config, folder / CONFIG_FILE)
    return Namespace(**config)


def decode(outputs: Mapping[str, Tensor], labels: Labels, tokenizer: Tokenizer | None) -> list[dict]:
    """What the model says of each utterance of a batch.

    Args:
        outputs: From :meth:`SERModel.logits`.
        labels: Class names of each utterance task.
        tokenizer: For the transcript; None where there is no ``asr`` head.

    Returns:
        One dict per utterance: for each utterance task ``{"hyp": name, "scores": {name: posterior}}``, and ``text_hyp``.
    """
    decoded: list[dict] = [{} for _ in range(len(outputs["num_frames"]))]
    for task in UTTERANCE_TASKS:
        if task in outputs:
            for result, posteriors in zip(decoded, outputs[task].float().softmax(-1).tolist(), strict=True):
                scores = dict(zip(labels[task], posteriors, strict=True))
                result[task] = {"hyp": max(scores, key=scores.__getitem__), "scores": scores}
    if "asr" in outputs and tokenizer is not None:
        best_paths = outputs["asr"].argmax(-1).tolist()
        for result, path, num_frames in zip(decoded, best_paths, outputs["num_frames"].tolist(), strict=True):
            result["text_hyp"] = tokenizer.ids_to_text(collapse(path[:num_frames]))
    return decoded


def prediction_line(example: Example, decoded: Mapping) -> dict:
    """One line of ``predictions_*.jsonl``: what was said beside what is so."""
    emotion = decoded.get("emotion", {})
    line = {
        "utt": example.utt,
        "speaker": example.speaker,
        "session": example.session,
        "ref": example.emotion,
        "hyp": emotion.get("hyp"),
        "scores": emotion.get("scores"),
    }
    for task in ("gender", "style"):
        line[task] = {"ref": getattr(example, task), **decoded[task]} if task in decoded else None
    return {**line, "text_ref": example.text, "text_hyp": decoded.get("text_hyp")}


@torch.no_grad()
def predict(
    model: SERModel,
    examples: Iterable[Example],
    labels: Labels,
    tokenizer: Tokenizer | None = None,
    batch_bins: int = BATCH_SAMPLES,
    device: str = "cpu",
    progress: str | None = None,
) -> list[dict]:
    """Predictions for the utterances of a data directory, in its order.

    Args:
        model: In eval mode, on ``device``.
        examples: The utterances.
        labels: Class names of each utterance task.
        tokenizer: For the transcript.
        batch_bins: Samples in a batch; no effect on the result.
        device: Where the model is.
        progress: Title of a progress bar, or None for none.

    Returns:
        Lines of ``predictions_*.jsonl``.
    """
    from tqdm import tqdm

    examples = list(examples)
    by_utt = {example.utt: example for example in examples}
    batches = BatchFactory(UtteranceDataset(examples, {}), batch_bins=batch_bins, shuffle=False).build_iter(epoch=0)
    lines = {}
    for utts, batch in tqdm(batches, desc=progress, unit="batch", disable=None if progress else True, mininterval=5):
        outputs = model.logits(batch["speech"].to(device), batch["speech_lengths"].to(device))
        for utt, decoded in zip(utts, decode(outputs, labels, tokenizer), strict=True):
            lines[utt] = prediction_line(by_utt[utt], decoded)
    return [lines[example.utt] for example in examples]

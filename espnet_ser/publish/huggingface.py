"""Trained heads with their encoder as folders that plain transformers loads: classifiers, and CTC with its processor.

Our utterance heads are linear on the mean frame. ``Wav2Vec2ForSequenceClassification`` projects frames, averages, and
classifies: with the identity as its projection that is the same. For one utterance at a time scores are equal; in padded
batches transformers' own group norm averages over the padding, as ours does not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.data.tokens import BLANK, SPACE, UNKNOWN, BPETokenizer, CharTokenizer, Tokenizer
from espnet_ser.model_io.encoder_config import encoder_settings
from espnet_ser.model_io.trained_encoder import OURS
from espnet_ser.models.pooling import MeanPooling
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.tasks_table import TASKS, of_kind

_PAD, _DELIMITER = "<pad>", "|"  # what transformers calls the blank and the space between words


def why_not(model: SERModel, task: str, tokenizer: Tokenizer | None = None) -> str | None:
    """What keeps plain transformers from expressing a head; None when it can. ``model``: the head's model; ``task``: the head;
    ``tokenizer``: of words.
    """
    if not isinstance(model.encoder, Wav2Vec2Encoder):
        return "its encoder is none of transformers'"
    if not isinstance(model.pooling, MeanPooling) and not model.heads[task].of_frames:
        return "its pooling is not the mean, which transformers takes"
    if TASKS[task].kind == "regression":
        return "it predicts a number, for which transformers has no pipeline"
    if TASKS[task].sees_skip and model.encoder.skip_layer is not None:
        return f"the skip branch: its head also sees layer {model.encoder.skip_layer}, which no class of transformers does"
    if TASKS[task].kind == "ctc" and isinstance(tokenizer, BPETokenizer):
        return "its tokens are SentencePiece's: pieces of the transcripts that it was trained on"
    return None


def export_classifier(
    model: SERModel, task: str, labels: Sequence[str], folder: Path, trained_on: Mapping | None = None
) -> None:
    """Writes an utterance head for ``pipeline("audio-classification", folder)``.

    Args:
        model: In eval mode, on the CPU.
        task: A class task.
        labels: Class names, in the order of the head's outputs.
        folder: Made where it is not there.
        trained_on: What the model and what it began with were trained on, kept in ``config.json``.
    """
    from transformers import HubertForSequenceClassification, Wav2Vec2ForSequenceClassification

    config = _config(
        model.encoder,
        trained_on,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        classifier_proj_size=model.encoder.dim,
        use_weighted_layer_sum=False,
    )
    classes = {"wav2vec2": Wav2Vec2ForSequenceClassification, "hubert": HubertForSequenceClassification}
    head = model.heads[task].output
    weights = {
        "projector.weight": torch.eye(model.encoder.dim),
        "projector.bias": torch.zeros(model.encoder.dim),
        "classifier.weight": head.weight.detach(),
        "classifier.bias": head.bias.detach(),
    }
    _save(classes[config.model_type](config), model.encoder, weights, folder)


def export_ctc(model: SERModel, tokenizer: CharTokenizer, folder: Path, trained_on: Mapping | None = None) -> None:
    """Writes the ASR head as ``Wav2Vec2ForCTC``, or HuBERT's, with the processor that spells its output.

    Args:
        model: In eval mode, on the CPU.
        tokenizer: What the head's outputs stand for.
        folder: Made where it is not there.
        trained_on: As of :func:`export_classifier`.
    """
    from transformers import HubertForCTC, Wav2Vec2ForCTC

    blank = tokenizer.tokens.index(BLANK)
    vocabulary = {"vocab_size": len(tokenizer.tokens), "pad_token_id": blank, "bos_token_id": None, "eos_token_id": None}
    config = _config(model.encoder, trained_on, **vocabulary)
    head = model.heads[of_kind("ctc", model.tasks)[0]].output
    weights = {"lm_head.weight": head.weight.detach(), "lm_head.bias": head.bias.detach()}
    classes = {"wav2vec2": Wav2Vec2ForCTC, "hubert": HubertForCTC}
    _save(classes[config.model_type](config), model.encoder, weights, folder)
    _transformers_tokenizer(tokenizer).save_pretrained(folder)


def _config(encoder: Wav2Vec2Encoder, trained_on: Mapping | None, **more):
    """The encoder's configuration with a head's, and what no other fold may test it on."""
    config = encoder.wav2vec2.config
    more |= {OURS: {"trained_on": dict(trained_on)}} if trained_on else {}
    known = encoder_settings(type(config))
    return type(config)(**{**{key: value for key, value in config.to_dict().items() if key in known}, **more})


def _save(exported: nn.Module, encoder: Wav2Vec2Encoder, head: dict[str, torch.Tensor], folder: Path) -> None:
    """Fills a model of transformers, every parameter covered, and writes it with what prepares its input."""
    from transformers import Wav2Vec2FeatureExtractor
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    prefix = exported.base_model_prefix
    weights = {f"{prefix}.{name}": tensor for name, tensor in encoder.wav2vec2.state_dict().items()}
    if not hasattr(exported.base_model, "masked_spec_embed"):  # transformers has one only where it would mask
        del weights[f"{prefix}.masked_spec_embed"]
    exported.load_state_dict({**weights, **head})
    exported.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLE_RATE,
        do_normalize=encoder.normalize_waveform,
        return_attention_mask=True,  # the mean is over valid frames, whatever the encoder's norm
    ).save_pretrained(folder)


def _transformers_tokenizer(tokenizer: CharTokenizer):
    """A tokenizer of transformers that spells as ours: no ``<unk>``, words separated by single spaces. ``Wav2Vec2CTCTokenizer``
    would leave both in.
    """
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Spelling
    from transformers import PreTrainedTokenizerFast

    delimiter = _DELIMITER if _DELIMITER not in tokenizer.tokens else SPACE
    names = {BLANK: _PAD, SPACE: delimiter}
    spelling = Spelling(
        models.WordLevel({names.get(token, token): i for i, token in enumerate(tokenizer.tokens)}, unk_token=UNKNOWN)
    )
    spelling.normalizer = normalizers.Replace(" ", delimiter)
    spelling.pre_tokenizer = pre_tokenizers.Split(Regex(f"{SPACE}|."), behavior="isolated")
    spelling.decoder = decoders.Sequence(
        [
            decoders.CTC(pad_token=_PAD, word_delimiter_token=delimiter, cleanup=False),  # merges repeats, drops blanks
            decoders.Replace(UNKNOWN, ""),
            decoders.Replace(delimiter, " "),
            decoders.Fuse(),
            decoders.Replace(Regex(" +"), " "),
            decoders.Replace(Regex("^ | $"), ""),  # Strip fails on a single space
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=spelling, pad_token=_PAD, unk_token=UNKNOWN, clean_up_tokenization_spaces=False
    )

"""The utterance heads of a trained model as ONNX: waveforms in, posteriors out, with batches and lengths of any size.

Normalisation of the waveform is part of the graph, and so are the lengths: an utterance gets in a padded batch what it gets
alone. :class:`~espnet_ser.models.wav2vec2.Wav2Vec2Encoder` runs utterances end to end, which a graph cannot; here padding is
computed and masked.
"""

import contextlib
import copy
import io
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from espnet_ser.data.audio import SAMPLE_RATE, load_audio
from espnet_ser.data.datadir import Example
from espnet_ser.data.loader import Labels
from espnet_ser.evaluation.metrics import unweighted_accuracy, weighted_accuracy
from espnet_ser.inference.predict import predict
from espnet_ser.models.pooling import valid_mask
from espnet_ser.models.ser_model import SERModel
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder, convolved_length, normalise_waveforms
from espnet_ser.tasks_table import MAIN_TASK, TASKS, of_utterances

ONNX_FOLDER = "onnx"
FLOAT_FILE, INT8_FILE = "model.onnx", "model_int8.onnx"
MAX_BYTES = 2_000_000_000
"""A file of ONNX holds no more, and weights in files of their own are not written."""

_PACKAGES = ("onnx", "onnxruntime")
_OPSET = 18


def missing_packages() -> list[str]:
    """What an export needs and is not installed."""
    from importlib.util import find_spec

    return [name for name in _PACKAGES if find_spec(name) is None]


def package_versions() -> dict[str, str]:
    """What an export is made with."""
    from importlib.metadata import version

    return {name: version(name) for name in (*_PACKAGES, "torch")}


class PaddedSER(nn.Module):
    """A trained model and its utterance heads, with an encoder that a graph can hold.

    Args:
        model: In eval mode, with an encoder of transformers' kind; it is copied.
    """

    def __init__(self, model: SERModel):
        super().__init__()
        heads = {task: copy.deepcopy(head).cpu() for task, head in model.heads.items() if task in of_utterances()}
        self.model = SERModel(PaddedEncoder(model.encoder), heads, pooling=copy.deepcopy(model.pooling).cpu()).eval()

    def forward(self, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, ...]:
        """Waveforms at 16 kHz [batch, samples], their lengths [batch] -> of each head posteriors [batch, classes], or numbers
        [batch, 1].
        """
        outputs = self.model.logits(speech, num_samples)
        return tuple(outputs[t] if TASKS[t].kind == "regression" else outputs[t].softmax(-1) for t in self.model.tasks)


class PaddedEncoder(nn.Module):
    """As :class:`~espnet_ser.models.wav2vec2.Wav2Vec2Encoder`, over padded batches, each operation masked.

    Args:
        encoder: In eval mode; it is copied.
    """

    def __init__(self, encoder: Wav2Vec2Encoder):
        super().__init__()
        self.wav2vec2 = copy.deepcopy(encoder.wav2vec2).cpu().float().eval()
        self.wav2vec2.set_attn_implementation("eager")
        self.wav2vec2.encoder.pos_conv_embed.conv = _plain(self.wav2vec2.encoder.pos_conv_embed.conv)
        self.normalize_waveform = encoder.normalize_waveform
        self.dim, self.skip_layer = encoder.dim, encoder.skip_layer

    def forward(self, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """As of :class:`~espnet_ser.models.wav2vec2.Wav2Vec2Encoder`."""
        if self.normalize_waveform:
            speech = normalise_waveforms(speech, num_samples)
        hidden, num_frames = self._convolve(speech, num_samples)
        return *self._transform(hidden, num_frames), num_frames

    def _convolve(self, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        config = self.wav2vec2.config
        hidden, lengths = speech[:, None], num_samples
        layers = self.wav2vec2.feature_extractor.conv_layers
        for layer, kernel, stride in zip(layers, config.conv_kernel, config.conv_stride, strict=True):
            lengths = convolved_length(lengths, kernel, stride)
            if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
                hidden = layer.activation(_norm_over_time(layer.conv(hidden), lengths, layer.layer_norm))
            else:
                hidden = layer(hidden)
        return hidden.transpose(1, 2), lengths  # [batch, frames, conv_dim]

    def _transform(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor | None]:
        model = self.wav2vec2
        hidden = model.feature_projection(features)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        valid = valid_mask(num_frames, hidden.shape[1])
        hidden = hidden.masked_fill(~valid[..., None], 0.0)
        hidden = hidden + model.encoder.pos_conv_embed(hidden)
        if not model.config.do_stable_layer_norm:
            hidden = model.encoder.layer_norm(hidden)
        ignored = torch.zeros_like(valid, dtype=hidden.dtype).masked_fill(~valid, torch.finfo(hidden.dtype).min)
        tap = hidden if self.skip_layer == 0 else None
        for number, layer in enumerate(model.encoder.layers, start=1):
            hidden = layer(hidden, attention_mask=ignored[:, None, None])  # [batch, heads, queries, keys]
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            tap = hidden if self.skip_layer == number else tap
        if model.config.do_stable_layer_norm:
            hidden = model.encoder.layer_norm(hidden)
            tap = hidden if self.skip_layer == len(model.encoder.layers) else tap
        return hidden, tap


def _plain(conv: nn.Conv1d) -> nn.Conv1d:
    """A convolution without weight norm, which is a product of two parameters: its weight as it is now."""
    plain = nn.Conv1d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups
    )
    plain.load_state_dict({"weight": conv.weight.detach(), "bias": conv.bias.detach()})
    return plain


def _norm_over_time(hidden: Tensor, lengths: Tensor, norm: nn.GroupNorm) -> Tensor:
    """A group norm with a group per channel, over what is no padding: [batch, channels, frames]."""
    valid = valid_mask(lengths, hidden.shape[2])[:, None]
    count = lengths[:, None, None]
    mean = hidden.masked_fill(~valid, 0.0).sum(2, keepdim=True) / count
    centred = (hidden - mean).masked_fill(~valid, 0.0)
    variance = centred.square().sum(2, keepdim=True) / count
    return centred / torch.sqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]


def export_onnx(model: SERModel, labels: Labels, folder: Path) -> None:
    """Writes :data:`FLOAT_FILE` and :data:`INT8_FILE`, whose matrix products are of 8-bit integers.

    Inputs are ``speech`` [batch, samples] float32 and ``num_samples`` [batch] int64; an output per utterance task is named
    like it. The class names of each lie in the file's metadata, as JSON under ``labels``.

    Args:
        model: In eval mode.
        labels: Class names of each utterance task.
        folder: Made where it is not there.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    module = PaddedSER(model).eval()
    tasks = module.model.tasks
    folder.mkdir(parents=True, exist_ok=True)
    speech = torch.randn(2, SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([SAMPLE_RATE, SAMPLE_RATE // 2])
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            module,
            (speech, lengths),
            folder / FLOAT_FILE,
            input_names=["speech", "num_samples"],
            output_names=tasks,
            dynamic_axes={"speech": {0: "batch", 1: "samples"}, **{name: {0: "batch"} for name in ("num_samples", *tasks)}},
            opset_version=_OPSET,
            dynamo=False,  # the other exporter takes minutes
        )
        quantize_dynamic(
            folder / FLOAT_FILE,
            folder / INT8_FILE,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    for name in (FLOAT_FILE, INT8_FILE):
        content = onnx.load(folder / name)
        _forget_places(content)
        onnx.helper.set_model_props(content, {"labels": json.dumps({task: labels[task] for task in tasks})})
        onnx.save(content, folder / name)


def _forget_places(content) -> None:
    """Removes what the exporter notes of each node: the lines of source, by path, that it comes from."""
    for holder in (content.graph, *content.functions):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
        for part in (*holder.node, *holder.value_info, *getattr(holder, "initializer", ())):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


def measure(model: SERModel, labels: Labels, folder: Path, examples: Sequence[Example]) -> dict[str, object]:
    """How the exported models do on utterances, compared with the model that they are made of.

    Args:
        model: In eval mode, on the CPU.
        labels: Class names of each utterance task.
        folder: What :func:`export_onnx` wrote.
        examples: Utterances whose audio is at hand.

    Returns:
        ``{"num_utts", "audio_s", "threads", "pytorch": {"ua", "wa"}, "model.onnx": {"ua", "wa", "largest_difference",
        "real_time_factor"}, "model_int8.onnx": {...}}``: accuracies in percent, the largest difference of an emotion's
        posterior, and seconds of computing per second of audio, one utterance at a time.
    """
    refs = [example.target(MAIN_TASK) for example in examples]
    own = [line[MAIN_TASK]["scores"] for line in predict(model, examples, labels, progress="PyTorch")]
    audio_s = sum(example.num_samples for example in examples) / SAMPLE_RATE
    measured: dict[str, object] = {"num_utts": len(examples), "audio_s": round(audio_s, 1)}
    measured |= {"threads": torch.get_num_threads(), "pytorch": _accuracy(refs, own)}
    for name in (FLOAT_FILE, INT8_FILE):
        scores, seconds = _scores(folder / name, labels[MAIN_TASK], examples)
        pairs = [(mine[label], theirs[label]) for mine, theirs in zip(own, scores, strict=True) for label in mine]
        difference = max(abs(mine - theirs) for mine, theirs in pairs)
        more = {"largest_difference": float(f"{difference:.2g}"), "real_time_factor": float(f"{seconds / audio_s:.3g}")}
        measured[name] = {**_accuracy(refs, scores), **more}
    return measured


def session(path: Path):
    """An exported model, to be run on the CPU with as many threads as PyTorch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _scores(path: Path, labels: Sequence[str], examples: Sequence[Example]) -> tuple[list[dict[str, float]], float]:
    """Posteriors of the emotions, and the seconds that they took."""
    import numpy as np
    from tqdm import tqdm

    exported, scores, seconds = session(path), [], 0.0
    for example in tqdm(examples, desc=path.name, unit="utt", disable=None, mininterval=5):
        speech = load_audio(example.wav, example.segment)[None]
        began = time.perf_counter()
        (posteriors,) = exported.run([MAIN_TASK], {"speech": speech, "num_samples": np.array([speech.shape[1]])})
        seconds += time.perf_counter() - began
        scores.append(dict(zip(labels, posteriors[0].tolist(), strict=True)))
    return scores, seconds


def _accuracy(refs: Sequence[str], scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    hyps = [max(by, key=by.__getitem__) for by in scores]
    return {"ua": round(unweighted_accuracy(refs, hyps), 2), "wa": round(weighted_accuracy(refs, hyps), 2)}


@contextlib.contextmanager
def _quiet():
    """The exporter tells of every step, on standard output and as warnings."""
    import logging

    level = logging.root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.root.setLevel(level)

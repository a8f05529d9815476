"""The wav2vec 2.0 encoder: a frozen prefix, a trainable suffix, and no padding in between.

The weights live in a transformers model, under its own parameter names, so that they load from and export to it unchanged.
What is ours is the path through them: batches of unequal lengths give each utterance what it gets alone (transformers'
group norm averages over the padding) and cost no more than it does alone, and what is frozen is left out of the backward pass.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from espnet_ser.models.packed_batch import PACKED_ATTENTION, PackedWavLMAttention, Packing
from espnet_ser.models.pooling import MeanPooling, valid_mask
from espnet_ser.models.positional import convolve_positions

SUPPORTED_MODEL_TYPES = ("wav2vec2", "hubert", "wavlm")

CUTS = ("cnn", "prefix", "pooled")
"""Where the frozen part of an encoder may end: see :meth:`Wav2Vec2Encoder.outputs_at`."""

FROZEN = ("alive", "constant")
"""What frozen layers do while others are trained: see :class:`Wav2Vec2Encoder`."""

_CNN_SETTINGS = (
    "model_type",
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "conv_bias",
    "feat_extract_norm",
    "feat_extract_activation",
)
_LAYER_SETTINGS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "do_stable_layer_norm",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
    "num_buckets",
    "max_bucket_distance",
)


def convolved_length(length: Tensor, kernel: int, stride: int) -> Tensor:
    """How long a convolution without padding leaves a signal: [batch] -> [batch]."""
    return torch.div(length - kernel, stride, rounding_mode="floor") + 1


def normalise_waveforms(speech: Tensor, num_samples: Tensor) -> Tensor:
    """Zero mean and unit variance per utterance over its valid samples; padding becomes zero. Both [batch, samples]."""
    mask = valid_mask(num_samples, speech.shape[1])
    count = num_samples[:, None].to(speech.dtype)
    mean = speech.masked_fill(~mask, 0.0).sum(1, keepdim=True) / count
    centred = (speech - mean).masked_fill(~mask, 0.0)
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / torch.sqrt(variance + 1e-7)


class Wav2Vec2Encoder(nn.Module):
    """wav2vec 2.0 (or HuBERT, or WavLM) with its lower layers frozen.

    Transformer layers count from 1, as in the paper; 'layer 0' is their input. With ``num_trainable_layers`` = n of L layers,
    everything below layer m = L - n is frozen: the CNN always, and for m > 0 also the feature projection, the positional
    convolution, the mask embedding and layers 1 to m (Fig. 1, yellow). With m = 0 only the CNN is frozen (intermediate
    finetuning). WavLM's embedding of distances, which all its layers share, is layer 1's.

    What is frozen runs without gradient. The CNN has nothing random, so that its output is a constant always.

    Args:
        wav2vec2: A transformers ``Wav2Vec2Model``, ``HubertModel`` or ``WavLMModel``.
        num_trainable_layers: n, 0 to L.
        skip_layer: A layer (0 to L) whose output is returned with the last one's (the skip branch, Sec. 2.3), or None.
        normalize_waveform: Whether the encoder wants zero mean and unit variance per utterance.
        frozen: ``alive``: while training, time masks, dropout and LayerDrop act in frozen layers as in trained ones, which is
            what ``train()`` does in the usual code, so that models of every n are trained on speech that is augmented alike.
            ``constant``: frozen layers stay in eval mode, and nothing is masked below a trained layer, so that a cache can hold
            layer m's output.
        keep_frames: Frames of a batch up to which trained layers keep what the backward pass needs. A longer batch goes through
            them in parts that long, utterance by utterance, and each part is computed again in the backward pass: the same
            result (dropout, drawn part by part, apart) in much less memory and a third more time. None keeps all.

    Raises:
        ValueError: For an architecture or a number of layers that is not supported.
    """

    def __init__(
        self,
        wav2vec2: nn.Module,
        num_trainable_layers: int,
        skip_layer: int | None = None,
        normalize_waveform: bool = False,
        frozen: str = "alive",
        keep_frames: int | None = None,
    ):
        super().__init__()
        config = wav2vec2.config
        num_layers = config.num_hidden_layers
        if config.model_type not in SUPPORTED_MODEL_TYPES:
            raise ValueError(f"encoder type {config.model_type!r} is not supported; known: {', '.join(SUPPORTED_MODEL_TYPES)}")
        if getattr(config, "add_adapter", False) or getattr(config, "conv_pos_batch_norm", False):
            raise ValueError("encoders with an adapter or a batch-normed positional convolution are not supported")
        if not 0 <= num_trainable_layers <= num_layers:
            raise ValueError(f"trainable_layers must be 0 to {num_layers} for this encoder, not {num_trainable_layers}")
        if skip_layer is not None and not 0 <= skip_layer <= num_layers:
            raise ValueError(f"skip_layer must be 0 to {num_layers} for this encoder, not {skip_layer}")
        if config.model_type == "wavlm":
            if not 1 <= config.num_buckets // 4 < config.max_bucket_distance:
                raise ValueError("WavLM wants 4 num_buckets or more, and max_bucket_distance above a quarter of them")
            for layer in wav2vec2.encoder.layers:
                layer.attention.__class__ = PackedWavLMAttention
        else:
            wav2vec2.set_attn_implementation(PACKED_ATTENTION)
        if frozen not in FROZEN:
            raise ValueError(f"frozen must be {' or '.join(FROZEN)}, not {frozen!r}")
        if not hasattr(wav2vec2, "masked_spec_embed"):  # always there: the training that goes on from this one may mask
            wav2vec2.masked_spec_embed = nn.Parameter(torch.empty(config.hidden_size).uniform_())
        self.wav2vec2 = wav2vec2
        self.num_layers = num_layers
        self.dim = config.hidden_size
        self.num_frozen_layers = num_layers - num_trainable_layers
        self.skip_layer = skip_layer
        self.normalize_waveform = normalize_waveform
        self.frozen = frozen
        self.keep_frames = keep_frames
        for module in self._frozen_modules():
            module.requires_grad_(False)
        if self.num_frozen_layers > 0 or not self._masks_time():
            wav2vec2.masked_spec_embed.requires_grad_(False)

    def train(self, mode: bool = True) -> "Wav2Vec2Encoder":
        """Sets the mode of what is trained; what is constant stays in eval mode."""
        super().train(mode)
        # The model's own flag drives time masking: it follows `mode`.
        for module in self._frozen_modules() if self.frozen == "constant" else [self.wav2vec2.feature_extractor]:
            module.eval()
        return self

    @property
    def may_leave_out(self) -> bool:
        """Whether a training step may leave out what is trained: a layer (LayerDrop), or the embedding of masked frames."""
        drops = self.wav2vec2.config.layerdrop > 0 and self.num_frozen_layers < self.num_layers
        return drops or self.wav2vec2.masked_spec_embed.requires_grad

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """Frames that the CNN gives for so many samples: [batch] -> [batch]."""
        for kernel, stride in zip(self.wav2vec2.config.conv_kernel, self.wav2vec2.config.conv_stride, strict=True):
            num_samples = convolved_length(num_samples, kernel, stride)
        return num_samples

    def forward(self, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Encodes a padded batch.

        Args:
            speech: Waveforms at 16 kHz, [batch, samples], float32; what lies beyond ``num_samples`` is ignored.
            num_samples: [batch].

        Returns:
            The last layer's output [batch, frames, dim], the tapped layer's (or None), and the numbers of frames [batch].

        Raises:
            ValueError: When an utterance is too short to give one frame.
        """
        return self.forward_from("cnn", *self.outputs_at("cnn", speech, num_samples))

    @torch.no_grad()
    def outputs_at(self, cut: str, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """What never changes while training, up to one of :data:`CUTS`: what a cache may keep.

        Args:
            cut: ``cnn``, the CNN's features; ``prefix``, layer m's output (m > 0); ``pooled``, where nothing is trained, the
                last layer's mean over valid frames, as a single frame. The latter two are constant where what is frozen is.
            speech: [batch, samples].
            num_samples: [batch].

        Returns:
            [batch, frames, size] and the numbers of frames [batch].
        """
        assert speech.ndim == 2, speech.shape
        if self.normalize_waveform:
            speech = normalise_waveforms(speech, num_samples)
        hidden, num_frames = self.convolve(speech, num_samples)
        if cut == "cnn":
            return hidden, num_frames
        packing = Packing(tuple(num_frames.tolist()))
        hidden, _ = self._frozen_layers(packing.pack(hidden), packing)
        if cut == "prefix":
            return packing.unpack(hidden), num_frames
        hidden, _ = self._trained_layers(hidden, None, packing)
        return MeanPooling(self.dim)(packing.unpack(hidden), num_frames)[:, None], torch.ones_like(num_frames)

    def forward_from(self, cut: str, hidden: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Goes on from what :meth:`outputs_at` gave for the same cut; returns what :meth:`forward` does."""
        assert hidden.ndim == 3, hidden.shape
        if cut == "pooled":
            return hidden, None, num_frames
        packing = Packing(tuple(num_frames.tolist()))
        hidden = packing.pack(hidden)
        tap = hidden if cut == "prefix" and self.skip_layer == self.num_frozen_layers else None
        if cut == "cnn" and self.num_frozen_layers > 0:
            with torch.no_grad():
                hidden, tap = self._frozen_layers(hidden, packing)
        hidden, tap = self._trained_layers(hidden, tap, packing)
        return packing.unpack(hidden), None if tap is None else packing.unpack(tap), num_frames

    def possible_cuts(self) -> list[str]:
        """Where a cache may cut this encoder, the earliest first: in what is constant."""
        cuts = ["cnn"]
        if self.frozen == "alive":
            return cuts
        if self.num_frozen_layers > 0 and (self.skip_layer is None or self.skip_layer >= self.num_frozen_layers):
            cuts.append("prefix")
        if self.num_frozen_layers == self.num_layers and self.skip_layer is None:
            cuts.append("pooled")
        return cuts

    def frozen_content(self, cut: str) -> tuple[dict[str, object], dict[str, Tensor]]:
        """All that :meth:`outputs_at` depends on besides the speech: settings, and weights by name."""
        settings = {name: getattr(self.wav2vec2.config, name) for name in _CNN_SETTINGS}
        settings |= {"normalize_waveform": self.normalize_waveform, "cut": cut}
        if cut == "cnn":
            return settings, dict(self.wav2vec2.feature_extractor.state_dict())
        known = [name for name in _LAYER_SETTINGS if hasattr(self.wav2vec2.config, name)]
        settings |= {name: getattr(self.wav2vec2.config, name) for name in known}
        settings |= {"num_frozen_layers": self.num_frozen_layers}
        frozen = {name for name, parameter in self.wav2vec2.named_parameters() if not parameter.requires_grad}
        frozen.discard("masked_spec_embed")  # nothing is masked in what is constant
        return settings, {name: tensor for name, tensor in self.wav2vec2.state_dict().items() if name in frozen}

    def _frozen_layers(self, features: Tensor, packing: Packing) -> tuple[Tensor, Tensor | None]:
        """From the CNN's features to layer m (m > 0), and the tapped layer where it lies below; packed, like what follows."""
        hidden = self._embed(features, packing)
        tap = hidden if self.skip_layer == 0 else None
        return self._run_layers(hidden, tap, packing, 0, self.num_frozen_layers)

    def _trained_layers(self, hidden: Tensor, tap: Tensor | None, packing: Packing) -> tuple[Tensor, Tensor | None]:
        """Layers m + 1 to L, and with m = 0 all but the CNN."""
        if self.num_frozen_layers == 0:
            hidden = self._embed(hidden, packing)
            if self.skip_layer == 0:
                tap = hidden
        hidden, tap = self._run_layers(hidden, tap, packing, self.num_frozen_layers, self.num_layers)
        if self.wav2vec2.config.do_stable_layer_norm:
            hidden = self.wav2vec2.encoder.layer_norm(hidden)
            if self.skip_layer == self.num_layers:
                tap = hidden
        return hidden, tap

    def _frozen_modules(self) -> list[nn.Module]:
        model = self.wav2vec2
        if self.num_frozen_layers == 0:
            return [model.feature_extractor]
        frozen = [model.feature_extractor, model.feature_projection, model.encoder.pos_conv_embed, model.encoder.dropout]
        frozen += model.encoder.layers[: self.num_frozen_layers]
        if not model.config.do_stable_layer_norm or self.num_frozen_layers == self.num_layers:
            frozen.append(model.encoder.layer_norm)
        return frozen

    def _masks_time(self) -> bool:
        config = self.wav2vec2.config
        return config.apply_spec_augment and (config.mask_time_prob > 0 or config.mask_feature_prob > 0)

    def convolve(self, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """The CNN alone: [batch, samples] -> [batch, frames, conv_dim] and the numbers of frames [batch]."""
        if int(self.num_frames(num_samples).min()) < 1:
            raise ValueError(f"an utterance of {int(num_samples.min())} samples is too short to give one frame")
        # One by one: transformers' group norm would average over the padding, and the first layers take 3 MB for a second.
        extract = self.wav2vec2.feature_extractor
        features = [extract(each[None, :length])[0].T for each, length in zip(speech, num_samples.tolist(), strict=True)]
        return pad_sequence(features, batch_first=True), self.num_frames(num_samples)

    def _embed(self, features: Tensor, packing: Packing) -> Tensor:
        """Feature projection, time masking while training, positional convolution: the input of layer 1."""
        model = self.wav2vec2
        hidden = model.feature_projection(features)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        masks_now = model.training and self._masks_time() and (self.num_frozen_layers == 0 or self.frozen == "alive")
        if masks_now and max(packing.lengths) > model.config.mask_time_length:
            mask = valid_mask(torch.tensor(packing.lengths, device=hidden.device), max(packing.lengths))
            hidden = packing.pack(model._mask_hidden_states(packing.unpack(hidden), attention_mask=mask.long()))
        gap = model.config.num_conv_pos_embeddings // 2
        convolved = convolve_positions(model.encoder.pos_conv_embed, packing.spaced(hidden, gap))
        hidden = hidden + packing.without_gaps(convolved, gap)
        if not model.config.do_stable_layer_norm:
            hidden = model.encoder.layer_norm(hidden)
        return model.encoder.dropout(hidden)

    def _run_layers(
        self, hidden: Tensor, tap: Tensor | None, packing: Packing, start: int, stop: int
    ) -> tuple[Tensor, Tensor | None]:
        layer_drop = self.wav2vec2.config.layerdrop
        bias = {}
        if self.wav2vec2.config.model_type == "wavlm":
            longest = max(packing.lengths)
            bias = {"position_bias": self.wav2vec2.encoder.layers[0].attention.compute_bias(longest, longest)}
        for index in range(start, stop):
            layer = self.wav2vec2.encoder.layers[index]
            if not (layer.training and layer_drop > 0 and float(torch.rand([])) < layer_drop):
                hidden = self._run_layer(layer, hidden, packing, bias)
            if self.skip_layer == index + 1:
                tap = hidden
        return hidden, tap

    def _run_layer(self, layer: nn.Module, hidden: Tensor, packing: Packing, bias: dict[str, Tensor]) -> Tensor:
        def run(hidden: Tensor, packing: Packing) -> Tensor:
            output = layer(hidden, attention_mask=torch.tensor(packing.lengths), **bias)
            return output[0] if isinstance(output, tuple) else output

        if self.keep_frames is None or hidden.shape[1] <= self.keep_frames or not torch.is_grad_enabled():
            return run(hidden, packing)
        packings = list(packing.parts(self.keep_frames))
        parts = hidden.split([sum(part.lengths) for part in packings], dim=1)
        again = [checkpoint(run, part, where, use_reentrant=False) for part, where in zip(parts, packings, strict=True)]
        return torch.cat(again, dim=1)

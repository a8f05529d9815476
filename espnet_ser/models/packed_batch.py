"""Batches without padding: utterances end to end on one time axis, each attending to itself alone.

What works frame by frame (projections, norms, feed-forward layers: nearly all of a Transformer's arithmetic) does not notice.
Attention keeps the utterances apart, and a convolution finds zeros between them. So a batch of any lengths costs what its
speech costs: random batches of IEMOCAP, padded, hold 2.7 times their speech.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.backends.cuda import SDPAParams, can_use_efficient_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

PACKED_ATTENTION = "espnet_ser_packed"  # name of :func:`packed_attention` among transformers' attention functions


@dataclass(frozen=True)
class Packing:
    """Where the utterances of a batch lie on the time axis that they share.

    >>> packing = Packing((1, 3))
    >>> packed = packing.pack(torch.tensor([[[5], [0], [0]], [[1], [2], [3]]]))
    >>> packed.tolist()
    [[[5], [1], [2], [3]]]
    >>> packing.unpack(packed).tolist()
    [[[5], [0], [0]], [[1], [2], [3]]]
    """

    lengths: tuple[int, ...]  # frames of each utterance, in the order of the batch

    def pack(self, padded: Tensor) -> Tensor:
        """[batch, frames, dim] -> [1, all frames, dim]."""
        return padded.flatten(0, 1).index_select(0, _places(self.lengths, self._rows(padded.shape[1]), padded.device))[None]

    def unpack(self, packed: Tensor) -> Tensor:
        """[1, all frames, dim] -> [batch, frames, dim], zeros as padding."""
        longest = max(self.lengths)
        return self._spread(packed, self._rows(longest), len(self.lengths) * longest).unflatten(1, (-1, longest))[0]

    def spaced(self, packed: Tensor, gap: int) -> Tensor:
        """With so many zeros after each utterance: [1, all frames, dim] -> [1, all frames + batch * gap, dim]."""
        return self._spread(packed, self._spaced_starts(gap), packed.shape[1] + gap * len(self.lengths))

    def without_gaps(self, spaced: Tensor, gap: int) -> Tensor:
        """What :meth:`spaced` made, undone."""
        return spaced.index_select(1, _places(self.lengths, self._spaced_starts(gap), spaced.device))

    def _rows(self, longest: int) -> tuple[int, ...]:
        return tuple(range(0, len(self.lengths) * longest, longest))

    def _spaced_starts(self, gap: int) -> tuple[int, ...]:
        return tuple(accumulate((length + gap for length in self.lengths[:-1]), initial=0))

    def _spread(self, packed: Tensor, starts: tuple[int, ...], num_frames: int) -> Tensor:
        """Each utterance at its start on an axis of so many frames, zeros elsewhere."""
        zeros = packed.new_zeros(1, num_frames, packed.shape[2])
        return zeros.index_copy_(1, _places(self.lengths, starts, packed.device), packed)

    def parts(self, max_frames: int) -> Iterator["Packing"]:
        """The utterances, in order, a few at a time: at most so many frames, or one utterance."""
        part: list[int] = []
        for length in self.lengths:
            if part and sum(part) + length > max_frames:
                yield Packing(tuple(part))
                part = []
            part.append(length)
        yield Packing(tuple(part))


@torch.compiler.disable
def packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: object
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, with a batch's lengths in the place of the mask; with a mask, transformers' own.

    Args:
        module: The attention layer.
        query: [1, heads, all frames, dim of a head], like ``key`` and ``value``.
        key: See ``query``.
        value: See ``query``.
        attention_mask: Frames of each utterance, [batch], on the CPU. Being a tensor, it lets compiled layers serve batches
            of all sizes.
        **options: Of transformers: ``dropout`` and ``scaling`` count here.

    Returns:
        [1, all frames, heads, dim of a head], and None for the weights, which are not kept.
    """
    if attention_mask is None or attention_mask.ndim != 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, is_causal=False, **options)
    lengths = attention_mask.tolist()
    dropout, scaling = options.get("dropout", 0.0), options.get("scaling")
    if query.is_cuda and can_use_efficient_attention(SDPAParams(query, key, value, None, dropout, False, False)):
        return _attend_at_once(query, key, value, tuple(lengths), dropout, scaling), None
    utterances = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    attended = [F.scaled_dot_product_attention(*each, dropout_p=dropout, scale=scaling) for each in utterances]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _attend_at_once(
    query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], dropout: float, scaling: float | None
) -> Tensor:
    """All utterances in one kernel: the one that torch's own attention of nested tensors calls, which itself is slower than
    one utterance after the other; and what torch offers under a public name (``varlen_attn``) knows no dropout."""
    bounds, longest = _bounds(lengths, query.device), max(lengths)
    tensors = (tensor.transpose(1, 2) for tensor in (query, key, value))
    options = (bounds, bounds, longest, longest, dropout, 0, torch.is_grad_enabled())
    return torch.ops.aten._efficient_attention_forward(*tensors, None, *options, scale=scaling)[0]


@lru_cache(maxsize=32)
def _bounds(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where utterances begin and end on their common axis, [batch + 1], int32; kept, as all layers want the same."""
    with torch.inference_mode(False):  # or training could not use what inference has left here
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


@lru_cache(maxsize=32)
def _places(lengths: tuple[int, ...], starts: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each frame of utterances end to end lies if utterances begin at these places, [all frames]; kept like bounds."""
    with torch.inference_mode(False):
        shifts = torch.tensor([start - end for start, end in zip(starts, accumulate(lengths, initial=0), strict=False)])
        return (torch.arange(sum(lengths)) + shifts.repeat_interleave(torch.tensor(lengths))).to(device)


class PackedWavLMAttention(WavLMAttention):
    """WavLM's attention, whose bias is of the distance between frames, with a batch's lengths in the place of the mask. WavLM's
    does not go by the name of an attention function; a layer's own is made one of these by its class alone.
    """

    @torch.compiler.disable
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        **options: object,
    ) -> tuple[Tensor, None, Tensor | None]:
        """As transformers calls it, with each utterance attending to itself.

        Args:
            hidden_states: [1, all frames, dim].
            attention_mask: As of :func:`packed_attention`.
            position_bias: For the longest utterance or a longer one, [heads, frames, frames].
            **options: Of transformers.

        Returns:
            [1, all frames, dim], None for the weights, which are not kept, and the bias.
        """
        attend = super().forward
        if attention_mask is None or attention_mask.ndim != 1:
            return attend(hidden_states, attention_mask, position_bias, **options)
        lengths = attention_mask.tolist()
        utterances = hidden_states.split(lengths, dim=1)
        biases = [position_bias[:, :length, :length] for length in lengths]
        attended = [attend(each, position_bias=bias)[0] for each, bias in zip(utterances, biases, strict=True)]
        return torch.cat(attended, dim=1), None, position_bias


AttentionInterface.register(PACKED_ATTENTION, packed_attention)
AttentionMaskInterface.register(PACKED_ATTENTION, sdpa_mask)

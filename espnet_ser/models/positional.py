"""The positional convolution of wav2vec 2.0 by Fourier transform.

Its kernel is as long as 2.5 s of speech (128 frames) and its groups are small (48 channels), which general convolutions are not
made for: on an H100, in bfloat16, cuDNN's took seven eighths of a training step on a packed batch. A product of spectra, block
by block (overlap-save), gives the same to rounding for a twentieth of the operations.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHORT = 4  # kernels up to which a CPU convolves a signal sooner than it transforms the kernels


def convolve_positions(embed: nn.Module, hidden: Tensor) -> Tensor:
    """What transformers' positional convolution gives, with its weights and its activation. ``embed``: the ``pos_conv_embed``
    of a ``Wav2Vec2Model``, ``HubertModel`` or ``WavLMModel``; ``hidden``: [batch, frames, dim]. Returns [batch, frames, dim].
    """
    convolution = embed.conv
    if hidden.device.type == "cpu" and hidden.shape[1] < SHORT * convolution.kernel_size[0]:
        return embed(hidden)
    with torch.autocast(hidden.device.type, enabled=False):
        convolved = correlate(
            hidden.float(), convolution.weight.float(), convolution.bias.float(), convolution.groups, convolution.padding[0]
        )
    return embed.activation(convolved[:, : hidden.shape[1]])


def correlate(signal: Tensor, weight: Tensor, bias: Tensor, groups: int, padding: int) -> Tensor:
    """A grouped convolution along time, as :func:`torch.nn.functional.conv1d` computes it, by overlap-save.

    Args:
        signal: [batch, frames, channels].
        weight: [channels, channels of a group, kernel].
        bias: [channels].
        groups: Number of groups.
        padding: Zeros before and after the signal.

    Returns:
        [batch, frames + 2 * padding - kernel + 1, channels].
    """
    kernel = weight.shape[-1]
    num_frames = signal.shape[1] + 2 * padding - kernel + 1
    # Blocks of twice the kernel, so that as many of their results as the kernel is long, and one, do not wrap around.
    size, num_blocks = 2 * kernel, -(-num_frames // kernel)
    behind = (num_blocks + 1) * kernel - padding - signal.shape[1]
    blocks = F.pad(signal, (0, 0, padding, behind)).unfold(1, size, kernel)  # [batch, blocks, channels, size]
    spectra = torch.fft.rfft(blocks).unflatten(2, (groups, -1))
    kernels = torch.fft.rfft(weight, n=size).conj().unflatten(0, (groups, -1))
    products = torch.einsum("bngif,goif->bngof", spectra, kernels).flatten(2, 3)
    results = torch.fft.irfft(products, n=size)[..., :kernel]  # [batch, blocks, channels, kernel]
    return results.transpose(2, 3).flatten(1, 2)[:, :num_frames] + bias

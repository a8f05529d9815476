"""Pooling: an utterance's frames as one vector. A new kind is a class and a line of :data:`POOLINGS`."""

import torch
from torch import Tensor, nn


def valid_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Marks what is not padding: bool [batch, max_length].

    >>> valid_mask(torch.tensor([1, 3]), 3).int().tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    return torch.arange(max_length, device=lengths.device)[None, :] < lengths[:, None]


class MeanPooling(nn.Module):
    """Mean over the valid frames of each utterance (Sec. 3.2).

    Args:
        dim: Size of a frame.

    Attributes:
        dim: Size of the vector.

    >>> MeanPooling(1)(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2])).tolist()
    [[2.0]]
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, hidden: Tensor, num_frames: Tensor) -> Tensor:
        """[batch, frames, dim], [batch] -> float32 [batch, dim]."""
        assert hidden.ndim == 3, hidden.shape
        mask = valid_mask(num_frames, hidden.shape[1])[..., None]
        return hidden.masked_fill(~mask, 0.0).sum(1, dtype=torch.float32) / num_frames[:, None]


POOLINGS: dict[str, type[nn.Module]] = {"mean": MeanPooling}
"""By the name that ``--pooling`` takes."""

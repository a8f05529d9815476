"""What turns the encoder's frames into decisions (Sec. 3.2)."""

import torch
from torch import Tensor, nn


class UtteranceHead(nn.Module):
    """Dropout and one fully connected layer on the mean frame: emotion, gender or style of an utterance.

    Args:
        dim: Size of a frame (twice the encoder's with the skip branch, Sec. 2.3).
        num_classes: Number of classes.
        dropout: Probability.
        reversal_scale: Where given, the gradient that goes on into the encoder is multiplied by minus this: the head learns to
            tell the classes, the encoder to hide them (G in Eq. 2).
    """

    def __init__(self, dim: int, num_classes: int, dropout: float, reversal_scale: float | None = None):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dim, num_classes)
        self.reversal_scale = reversal_scale

    def forward(self, pooled: Tensor) -> Tensor:
        """Mean over valid frames [batch, dim] -> logits [batch, num_classes]."""
        if self.reversal_scale is not None and pooled.requires_grad:
            pooled = GradientReversal.apply(pooled, self.reversal_scale)
        return self.output(self.dropout(pooled))


class GradientReversal(torch.autograd.Function):
    """The identity on the way forward; on the way back the gradient times minus a scale (Eq. 2).

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> GradientReversal.apply(x, 0.5).sum().backward()
    >>> x.grad.tolist()
    [-0.5, -0.5]
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, scale: float) -> Tensor:  # noqa: D102
        ctx.scale = scale
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        return -ctx.scale * gradient, None


class CTCHead(nn.Module):
    """Dropout and one fully connected layer on every frame: the posteriors of CTC.

    Args:
        dim: Size of a frame.
        num_tokens: Size of the token list, blank included.
        dropout: Probability.
    """

    def __init__(self, dim: int, num_tokens: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dim, num_tokens)

    def forward(self, hidden: Tensor) -> Tensor:
        """[batch, frames, dim] -> logits [batch, frames, num_tokens]."""
        return self.output(self.dropout(hidden))

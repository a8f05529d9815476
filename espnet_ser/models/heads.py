"""What turns the encoder's frames into decisions (Sec. 3.2): a head for each kind of task."""

import torch
from torch import Tensor, nn


class UtteranceHead(nn.Module):
    """Dropout and one fully connected layer on what is pooled of an utterance: logits of classes, or a number.

    Args:
        dim: Size of the vector (twice as large with the skip branch, Sec. 2.3).
        size: Number of classes; 1 for a regression.
        dropout: Probability.
        reversal_scale: Where given, the gradient that goes on into the encoder is multiplied by minus this: the head learns to
            tell the classes, the encoder to hide them (G in Eq. 2).

    Attributes:
        of_frames: Whether it sees every frame, or what is pooled of them.
    """

    of_frames = False

    def __init__(self, dim: int, size: int, dropout: float, reversal_scale: float | None = None):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dim, size)
        self.reversal_scale = reversal_scale

    def forward(self, pooled: Tensor) -> Tensor:
        """[batch, dim] -> [batch, size]; of frames, [batch, frames, dim] -> [batch, frames, size]."""
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


class CTCHead(UtteranceHead):
    """The same on every frame: logits of the tokens, blank included."""

    of_frames = True


HEADS: dict[str, type[UtteranceHead]] = {"classes": UtteranceHead, "regression": UtteranceHead, "ctc": CTCHead}
"""By kind of task."""

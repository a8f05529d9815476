"""What turns the encoder's frames into decisions (Sec. 3.2)."""

from torch import Tensor, nn

from espnet_ser.models.wav2vec2 import masked_mean


class UtteranceHead(nn.Module):
    """Mean over valid frames, dropout, one fully connected layer: emotion, gender or style of an utterance.

    Args:
        dim: Size of a frame (twice the encoder's with the skip branch, Sec. 2.3).
        num_classes: Number of classes.
        dropout: Probability.
    """

    def __init__(self, dim: int, num_classes: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dim, num_classes)

    def forward(self, hidden: Tensor, num_frames: Tensor) -> Tensor:
        """[batch, frames, dim], [batch] -> logits [batch, num_classes]."""
        return self.output(self.dropout(masked_mean(hidden, num_frames)))


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

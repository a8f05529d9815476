"""The supervised baseline of Table 1: convolutions over a spectrogram, then a recurrent layer over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchaudio.transforms import MelSpectrogram

from espnet_ser.models.pooling import valid_mask
from espnet_ser.models.wav2vec2 import convolved_length, normalise_waveforms

SAMPLE_RATE = 16000
POWER_FLOOR = 1e-8
"""About the power in one mel band of the rounding of 16-bit audio: what is quieter than that is silence."""


class CNNLSTMEncoder(nn.Module):
    """Log-mel spectrogram, blocks of 2-D convolution, ReLU and max pooling, and a bidirectional LSTM.

    The paper names its baseline 'CNN-LSTM', without sizes, and cites Tang et al. (Interspeech 2018), who train a CNN+RNN end to
    end, and the review of Pandey et al. (2019). This is the family's plain member: a few convolutions with pooling over a
    spectrogram, a recurrent layer over the frames that are left, pooling over time and a fully connected layer. The heads
    do the last two, as for every other encoder. What is ours:

    - Whole utterances instead of segments of fixed length, and padding never changes a result.
    - No batch norm, the usual companion of such convolutions: it would average over padding, and make an utterance's gradient
      depend on its neighbours. Weights that keep the scale of their input (He et al., 2015) stand in for it.
    - The spectrogram is normalised per utterance by one mean and one variance over all bands: the gain of the recording goes,
      as it does for wav2vec 2.0, and the shape of the average spectrum stays, which tells voices apart.

    With three blocks a frame stands for 80 ms, enough for emotion, gender and style but too coarse for CTC over characters.

    Args:
        num_mels: Mel bands, 0 to 8 kHz.
        window_samples: Length of an analysis window (25 ms).
        hop_samples: From one window to the next (10 ms).
        channels: Of each convolution block; a block halves time and frequency.
        lstm_size: Units of the LSTM in each direction.
        dropout: Probability, on the input of the LSTM.

    Attributes:
        dim: Size of an output frame, 2 * ``lstm_size``.
        skip_layer: None: there is no layer for a skip branch to tap.

    Raises:
        ValueError: When pooling would leave no mel band.
    """

    skip_layer = None

    def __init__(
        self,
        num_mels: int = 64,
        window_samples: int = 400,
        hop_samples: int = 160,
        channels: Sequence[int] = (32, 64, 64),
        lstm_size: int = 128,
        dropout: float = 0.3,
    ):
        super().__init__()
        num_bands = num_mels // 2 ** len(channels)
        if num_bands < 1:
            raise ValueError(
                f"{len(channels)} convolution blocks halve {num_mels} mel bands away; take more bands or fewer blocks"
            )
        self.dim = 2 * lstm_size
        self.window_samples = window_samples
        self.hop_samples = hop_samples
        # Without centring a frame holds samples of its own utterance alone, neither padding nor reflections.
        self.mel = MelSpectrogram(SAMPLE_RATE, n_fft=window_samples, hop_length=hop_samples, n_mels=num_mels, center=False)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(num_in, num_out, kernel_size=3, padding=1)
            for num_in, num_out in zip([1, *channels], channels, strict=False)
        )
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(channels[-1] * num_bands, lstm_size, batch_first=True, bidirectional=True)

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """Frames that so many samples give: [batch] -> [batch]."""
        num_frames = self._num_windows(num_samples)
        for _ in self.convolutions:
            num_frames = convolved_length(num_frames, 2, 2)
        return num_frames

    def forward(self, speech: Tensor, num_samples: Tensor) -> tuple[Tensor, None, Tensor]:
        """Encodes a padded batch.

        Args:
            speech: Waveforms at 16 kHz, [batch, samples], float32; what lies beyond ``num_samples`` is ignored.
            num_samples: [batch].

        Returns:
            The LSTM's output [batch, frames, dim], zero beyond an utterance's end; None, for the tapped layer; the numbers of
            frames [batch].

        Raises:
            ValueError: When an utterance is too short to give one frame.
        """
        assert speech.ndim == 2, speech.shape
        if int(self.num_frames(num_samples).min()) < 1:
            raise ValueError(f"an utterance of {int(num_samples.min())} samples is too short to give one frame")
        hidden, num_frames = self.log_mel(speech, num_samples), self._num_windows(num_samples)
        hidden = hidden[:, None]  # [batch, 1, windows, bands]
        for convolution in self.convolutions:
            hidden, num_frames = self.pool(torch.relu(convolution(hidden))), convolved_length(num_frames, 2, 2)
            # The next convolution sees zeros past an utterance's end, as it does past the end of the batch.
            hidden = hidden.masked_fill(~valid_mask(num_frames, hidden.shape[2])[:, None, :, None], 0.0)
        hidden = self.dropout(hidden.transpose(1, 2).flatten(2))  # [batch, frames, channels * bands]
        packed = pack_padded_sequence(hidden, num_frames.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)  # [batch, frames, dim]
        return hidden, None, num_frames

    @torch.no_grad()
    def log_mel(self, speech: Tensor, num_samples: Tensor) -> Tensor:
        """The log-mel spectrogram, zero mean and unit variance per utterance, zero in the padding: [batch, windows, bands]."""
        # Powers span more decades than half precision can tell apart.
        with torch.autocast(speech.device.type, enabled=False):
            log_mel = self.mel(speech.float()).clamp_min(POWER_FLOOR).log().transpose(1, 2)  # [batch, windows, bands]
            flat = log_mel.flatten(1)  # [batch, windows * bands]: an utterance's valid values come first
            return normalise_waveforms(flat, self._num_windows(num_samples) * log_mel.shape[2]).view_as(log_mel)

    def _num_windows(self, num_samples: Tensor) -> Tensor:
        return convolved_length(num_samples, self.window_samples, self.hop_samples)

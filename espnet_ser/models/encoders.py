"""The encoders that a system may name. A new one is a class and a line of :data:`ENCODERS`.

Free of torch: a class is imported when a model is built. It takes no arguments and has ``dim`` (size of a frame),
``skip_layer`` (None without Transformer layers), ``num_frames(num_samples)`` and ``forward(speech, num_samples)``, as
:class:`espnet_ser.models.cnn_lstm.CNNLSTMEncoder` documents them.
"""

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder.

    Attributes:
        place: Its class, ``module:name``.
        pretrained: Whether it is built from a folder of transformers (``--ssl``), with Transformer layers to freeze and to tap.
        frame_ms: From one frame to the next.
    """

    place: str
    pretrained: bool = False
    frame_ms: int = 20

    def load(self) -> type:
        """The class."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


ENCODERS = {
    "ssl": EncoderSpec("espnet_ser.models.wav2vec2:Wav2Vec2Encoder", pretrained=True),
    "cnn_lstm": EncoderSpec("espnet_ser.models.cnn_lstm:CNNLSTMEncoder", frame_ms=80),
}
"""By name; the first is the default, the second the supervised baseline of Table 1."""

MAX_CTC_FRAME_MS = 40
"""Longer frames are too few for CTC over characters: speech has some 15 in a second, and a repeated one takes two frames."""

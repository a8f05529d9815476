"""Speech emotion recognition with wav2vec 2.0, in two stages (Gao, Chu & Kawahara, Interspeech 2023)."""

from espnet_ser.version import __version__

__all__ = ["SpeechEmotion", "__version__"]


def __getattr__(name: str) -> object:
    if name == "SpeechEmotion":  # imported on demand, since torch takes seconds
        from espnet_ser.utils.machine import fill_in_environment

        fill_in_environment()
        from espnet_ser.inference.speech_emotion import SpeechEmotion

        return SpeechEmotion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

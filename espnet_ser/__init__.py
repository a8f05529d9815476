"""Speech emotion recognition with wav2vec 2.0, in two stages (Gao, Chu & Kawahara, Interspeech 2023)."""

__version__ = "0.4.0"


def __getattr__(name: str) -> object:
    if name == "SpeechEmotion":  # imported on demand, since torch takes seconds
        from espnet_ser.machine import fill_in_environment

        fill_in_environment()
        from espnet_ser.speech_emotion import SpeechEmotion

        return SpeechEmotion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

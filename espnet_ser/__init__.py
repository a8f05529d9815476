"""Speech emotion recognition with wav2vec 2.0, in two stages (Gao, Chu & Kawahara, Interspeech 2023)."""

__version__ = "0.4.0"


def __getattr__(name: str) -> object:
    # Only whoever wants it waits for torch.
    if name == "SpeechEmotion":
        from espnet_ser.speech_emotion import SpeechEmotion

        return SpeechEmotion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

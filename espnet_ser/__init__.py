"""Speech emotion recognition with wav2vec 2.0, in two stages (Gao, Chu & Kawahara, Interspeech 2023)."""

__version__ = "0.3.0"

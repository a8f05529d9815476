"""The rows of the benchmark: who trains what, and how."""

from dataclasses import dataclass

STAGES = {
    "stage1": "intermediate: words and gender, all layers",
    "ser": "SER: emotion, upper 8 layers",
    "full": "single stage: emotion, all layers",
    "n0": "n = 0: emotion, no layer",
    "inference": "inference: emotion",
}
"""What is trained, on the paper's scale of 12 layers, or done with what was trained."""

SYSTEMS = {
    "stage1": "asr_gender_skip__ser",
    "ser": "asr_gender_skip__ser",
    "full": "stl",
    "n0": "stl_n0",
    "inference": "stl",
}
"""The system of ``conf/systems`` that a stage is one of."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        kind: The module whose ``Trainer`` it is: ``plain``, ``speechbrain_recipe``, ``espnet_cls`` or ``ours``; ``filling``
            fills a cache; ``bare_forward`` and ``our_inference`` train nothing.
        stage: One of :data:`STAGES`.
        title: Who and how.
        cut: Where a cache cuts the encoder, if one does. Above the CNN only where what is frozen is constant (``frozen``).
    """

    kind: str
    stage: str
    title: str
    cut: str | None = None


ROWS = {
    "plain_intermediate": Row("plain", "stage1", "plain transformers loop"),
    "ours_intermediate_live": Row("ours", "stage1", "ours, live"),
    "fill_cnn": Row("filling", "stage1", "ours, filling the cache of the CNN's output", "cnn"),
    "ours_intermediate": Row("ours", "stage1", "ours, CNN cached", "cnn"),
    "plain_ser": Row("plain", "ser", "plain transformers loop"),
    "ours_ser_live": Row("ours", "ser", "ours, live"),
    "fill_prefix": Row("filling", "ser", "ours, filling the cache of layer m's output", "prefix"),
    "ours_ser": Row("ours", "ser", "ours, CNN cached", "cnn"),
    "ours_ser_constant": Row("ours", "ser", "ours, frozen: constant, layer m cached", "prefix"),
    "speechbrain": Row("speechbrain_recipe", "full", "SpeechBrain's IEMOCAP recipe"),
    "espnet_cls": Row("espnet_cls", "full", "ESPnet's classification task, S3PRL front end"),
    "ours_full": Row("ours", "full", "ours, CNN cached", "cnn"),
    "plain_n0": Row("plain", "n0", "plain transformers loop"),
    "fill_pooled": Row("filling", "n0", "ours, filling the cache of means", "pooled"),
    "ours_n0": Row("ours", "n0", "ours, CNN cached", "cnn"),
    "ours_n0_constant": Row("ours", "n0", "ours, frozen: constant, means cached", "pooled"),
    "bare_forward": Row("bare_forward", "inference", "transformers' encoder, forward alone"),
    "our_inference": Row("our_inference", "inference", "ours, from files to predictions"),
}
"""By name, in the order in which they are run: in each stage the hungriest first, and its cache filled before it is read."""

PEERS = ("speechbrain_recipe", "espnet_cls")
"""Kinds that run with ``--peers_python``."""

GOALS = {
    "stage1": ("ours_intermediate", "plain_intermediate", 2.5),
    "ser": ("ours_ser_constant", "plain_ser", 4.0),
    "n0": ("ours_n0_constant", "plain_n0", 50.0),
}
"""Stage -> ours, theirs, and how many times their utterances per second ours is meant to reach."""

INFERENCE_GOAL = ("our_inference", "bare_forward", 1.2)
"""Ours, the least that must be done, and how many times its time ours is meant to take at most."""

STARTUP_GOAL = 1.5
"""How many times the floor's time a training is meant to take to its first step at most."""

MEMORY_GOAL = 0.6
"""What ours is meant to need at most of theirs."""

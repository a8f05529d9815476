"""What the page says of its models: where they come from, what they predict, and what they were trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_ser.characters import escape
from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.tasks_table import MAIN_TASK

_SHOWN = 12


def what_is_told(speech_emotion: SpeechEmotion) -> str:
    """What the models tell, in words, as HTML."""
    parts = [
        f"{task} ({', '.join(map(escape, _shown(classes)))})" if task == MAIN_TASK else task
        for task, classes in speech_emotion.classes.items()
    ]
    return _listed([*parts, *(["words"] if speech_emotion.transcribes else [])])


def what_was_heard(trained_on: Sequence[Mapping[str, object] | None]) -> str:
    """What the models were trained on, in words, as HTML; of each its own, as speakers of two corpora may have the same names.
    ``trained_on``: as :attr:`espnet_ser.inference.speech_emotion.SpeechEmotion.trained_on` has it.
    """
    models = "One model" if len(trained_on) == 1 else f"{len(trained_on)} models"
    each = [_training(data) for data in trained_on]
    if len(set(each)) == 1:
        return f"{models}, {'each ' if len(each) > 1 else ''}{each[0]}."
    return f"{models}: {'; '.join(_shown(each))}."


def _training(data: Mapping[str, object] | None) -> str:
    if not data:
        return "trained on what it does not say"
    text = f"trained on {len(data.get('speakers') or ())} speakers"
    if sessions := data.get("sessions"):
        text += f" (sessions {', '.join(escape(str(name)) for name in _shown(sessions))})"
    number = data.get("num_utts")
    return text + (f" in {number:,} utterances" if isinstance(number, int) else "")


def source_name(source: str) -> str:
    """A model's name for the page: of a path no more than its last two parts.

    >>> source_name("/home/me/exp/asr_gender_skip__ser/fold1"), source_name("me/my-model")
    ('asr_gender_skip__ser/fold1', 'me/my-model')
    """
    path = Path(source)
    return "/".join((path.absolute() if path.exists() else path).parts[-2:])


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _shown(names: Sequence) -> list:
    return [*names[:_SHOWN], "..."] if len(names) > _SHOWN else list(names)

"""What the page says of its models: where they come from, what they tell, and what they have heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_ser.characters import escape
from espnet_ser.speech_emotion import SpeechEmotion

_SHOWN = 12


def what_is_told(speech_emotion: SpeechEmotion) -> str:
    """What the models tell, in words, as HTML."""
    parts = [
        f"{task} ({', '.join(map(escape, _shown(classes)))})" if task == "emotion" else task
        for task, classes in speech_emotion.classes.items()
    ]
    return _listed([*parts, *(["words"] if speech_emotion.transcribes else [])])


def what_was_heard(trained_on: Sequence[Mapping[str, object] | None]) -> str:
    """What the models were trained on, in words, as HTML: the speakers of all of them together.

    Args:
        trained_on: As :attr:`espnet_ser.speech_emotion.SpeechEmotion.trained_on` has it.
    """
    known = [heard for heard in trained_on if heard]
    models = "One model" if len(trained_on) == 1 else f"{len(trained_on)} models"
    if not known:
        return f"{models}; what was heard in training is not known."
    speakers, sessions = (
        sorted({name for heard in known for name in heard.get(key) or ()}) for key in ("speakers", "sessions")
    )
    text = f"{models}, trained on {len(speakers)} speakers"
    if sessions:
        text += f" (sessions {', '.join(map(escape, _shown(sessions)))})"
    numbers = sorted({heard.get("num_utts") for heard in known if isinstance(heard.get("num_utts"), int)})
    if numbers:
        text += f" in {' and '.join(f'{number:,}' for number in _shown(numbers))} utterances"
    unknown = len(trained_on) - len(known)
    return text + (f"; of {unknown} of them it is not known." if unknown else ".")


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

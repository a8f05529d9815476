"""Predictions for recordings of any kind, by one model or several."""


def __getattr__(name: str) -> object:
    # On demand: torch takes seconds, and what is looked up before a model is loaded does without it.
    if name == "load_model":
        from espnet_ser.model_io.load import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

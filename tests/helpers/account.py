"""What a training that was asked to end says of itself."""

from pathlib import Path

from espnet_ser.evaluation.predictions import read_epochs
from espnet_ser.train.history import read_history


def account(folder: Path) -> dict:
    """Everything about a training that must not depend on how often it was interrupted."""
    history = [{key: value for key, value in record.items() if key != "seconds"} for record in read_history(folder)]
    weights = {path.name: path.read_bytes() for path in folder.glob("*.pth") if path.name != "checkpoint.pth"}
    gradients = folder / "gradients.jsonl"
    return {
        "history": history,
        "predictions": read_epochs(folder),
        "weights": weights,
        "gradients": gradients.read_text() if gradients.exists() else "",
    }

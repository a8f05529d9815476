"""All that is made of a trained fold for others: written to a temporary folder, and put in place when it is complete."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.leakage import all_of
from espnet_ser.data.sound_archive import file_of
from espnet_ser.errors import InputError
from espnet_ser.evaluation.results import RESULTS_FILE, RUN_FILE, read_results, read_run
from espnet_ser.experiment.scored_folds import PooledFolds
from espnet_ser.experiment.trained_fold import TrainedFold, describe_run
from espnet_ser.inference.find_models import selected_weights
from espnet_ser.layout import CARD_FILE, PACKED_FOLDER, SCORED_FILE, packed_stamp
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.publish.card_facts import CardFacts, origin_of
from espnet_ser.publish.model_card import READ, measured_markdown, model_card
from espnet_ser.publish.zoo_archive import INTERMEDIATE_FOLDER, SER_FOLDER, copy_model, write_archive
from espnet_ser.report.system import corpus_in
from espnet_ser.tasks_table import MAIN_TASK, TASKS
from espnet_ser.utils.atomic import atomic_write, disk_errors_as_input_errors, remove_unfinished, replace_folder
from espnet_ser.utils.environment import describe_environment
from espnet_ser.utils.hashing import file_sha256
from espnet_ser.utils.replacing import follow_umask, keep_others, temporary_folder
from espnet_ser.utils.say import say
from espnet_ser.utils.stamp import Stamp
from espnet_ser.version import __version__

HEADS_FOLDER = "heads"
"""Where heads besides that of emotion go. Not to ``gender`` at the top: ESPnet's model zoo takes a value in a YAML file that
is the name of something in the repository for its place, and a task is called so.
"""

_ONNX_USE = """# {title}

Inputs: `speech`, float32 [batch, samples], waveforms at 16 kHz as they are, and `num_samples`, int64 [batch]; what lies beyond
an utterance's length is ignored. Outputs: posteriors [batch, classes], or a number [batch, 1], of {tasks}.

```python
import json
import numpy as np
import onnxruntime
{read}
session = onnxruntime.InferenceSession("model_int8.onnx")  # or model.onnx
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])["{main}"]
(scores,) = session.run(["{main}"], {{"speech": waveform[None], "num_samples": np.array([len(waveform)])}})
print(dict(zip(labels, scores[0].tolist())))
```

`model_int8.onnx` multiplies matrices of 8-bit integers (ONNX Runtime's dynamic quantisation).

"""


@dataclass(frozen=True)
class FoldToPack:
    """A trained and scored fold, and where what is made of it goes.

    Attributes:
        system: Name of the system.
        name: Of the fold.
        fold: What trainings left of it.
        base: The system's folder.
        with_onnx: Whether there is to be an ONNX export.
    """

    system: str
    name: str
    fold: TrainedFold
    base: Path
    with_onnx: bool

    @property
    def folder(self) -> Path:
        """What may be published: the card, models for plain transformers and ONNX, and ESPnet's files."""
        return self.base / PACKED_FOLDER / f"fold{self.name}"

    @property
    def archive(self) -> Path:
        """The archive for ESPnet's model zoo."""
        return self.folder.with_name(f"{self.folder.name}.zip")

    def pack(self) -> bool:
        """Packs the fold; False where that is done already.

        Raises:
            InputError: When it has not been scored, something has changed since, or the disk is full.
        """
        pooled = PooledFolds.read({self.name: self.fold})
        if changed := Stamp(self.base / SCORED_FILE).changed_outputs():
            raise InputError(f"scores in {self.base}: {'; '.join(changed)}; run stage 6 again")
        results = read_results(self.base, self.system)
        if self.name not in results["folds"]:
            raise InputError(f"{self.base}/{RESULTS_FILE}: fold {self.name} was not scored; run stage 6 for it")
        stamp = Stamp(packed_stamp(self.folder))
        inputs = self._inputs(pooled)
        if stamp.difference(inputs) is None:
            return False
        with disk_errors_as_input_errors(self.folder.parent):
            with temporary_folder(self.folder) as temporary:  # whoever packs holds the system's lock
                remove_unfinished(temporary.parent)
                self._write(temporary, pooled, results)
                follow_umask(temporary)
                keep_others(self.archive, stamp)
                keep_others(self.folder, stamp, temporary)
                write_archive(temporary, self.archive, (CARD_FILE,))
                replace_folder(temporary, self.folder)
            stamp.write(inputs, [self.folder, self.archive])
        return True

    def _inputs(self, pooled: PooledFolds) -> dict[str, object]:
        from espnet_ser.publish.onnx import package_versions

        return {
            "system": self.system,
            **self.fold.identity(),
            "predictions": pooled.identity()["predictions"],
            "scores": {name: file_sha256(self.base / name) for name in (RESULTS_FILE, RUN_FILE)},
            "transformers": version("transformers"),
            "onnx": package_versions() if self.with_onnx else None,
            "espnet_ser": __version__,
        }

    def _write(self, folder: Path, pooled: PooledFolds, results: Mapping) -> None:
        from espnet_ser.model_io.load import load_model

        chosen = selected_weights(self.fold.folder, results["headline"])
        ser, args = load_model(self.fold.folder, model_file=chosen)
        models = {"SER": (ser, args, self.fold.folder, SER_FOLDER)}
        if self.fold.intermediate is not None:
            intermediate, stage1_args = load_model(self.fold.intermediate)
            if set(intermediate.tasks) - set(ser.tasks):
                models["stage1"] = (intermediate, stage1_args, self.fold.intermediate, INTERMEDIATE_FOLDER)
        exported, left_out = _export_to_transformers(models, folder)
        measured = None
        if self.with_onnx:
            measured = self._export_to_onnx(ser, args, folder)
        for model, _, source, place in models.values():
            copy_model(model, source, folder / place, chosen if source == self.fold.folder else None)
        trained_on = {"SER": args.trained_on}
        if self.fold.intermediate is not None:
            trained_on = {"intermediate": stage1_args.trained_on, **trained_on}
        run, pretrained = read_run(self.base), ENCODERS[args.encoder].pretrained
        facts = CardFacts(
            system=self.system,
            fold=self.name,
            encoder=str(getattr(args, "ssl_source", None) or describe_run(self.fold.folder)["encoder"]),
            norm=ser.encoder.wav2vec2.config.feat_extract_norm if pretrained else None,
            labels=args.labels,
            trained_on=trained_on,
            test=self.fold.test,
            corpus=corpus_in(run),
            origin=origin_of([*read_datadir(self.fold.data / "train"), *self.fold.test]),
            lines=pooled.headline_lines()[self.name],
            results=results,
            settings=run.get("settings", {}),
            command=run.get("command", ""),
            exported=exported,
            left_out=left_out,
            measured=measured,
            onnx=self.with_onnx and pretrained,
        )
        atomic_write(folder / CARD_FILE, model_card(facts))

    def _export_to_onnx(self, model, args, folder: Path) -> Mapping | None:
        from espnet_ser.publish.onnx import MAX_BYTES, ONNX_FOLDER, export_onnx, measure

        if not ENCODERS[args.encoder].pretrained:
            say(f"fold {self.name}: no ONNX export: its encoder is none of transformers'", flush=True)
            return None
        num_bytes = sum(parameter.numel() * 4 for parameter in model.parameters())
        if num_bytes > MAX_BYTES:
            raise InputError(
                f"{self.fold.folder}: weights of {num_bytes:,} bytes, and a file of ONNX holds {MAX_BYTES:,}; give --onnx false"
            )
        export_onnx(model, args.labels, folder / ONNX_FOLDER)
        at_hand = all(file_of(example.wav).is_file() for example in self.fold.test)
        measured = measure(model, args.labels, folder / ONNX_FOLDER, self.fold.test) if at_hand else None
        command = f"espnet-ser pack --system {self.system} --fold {self.name}"
        tasks = ", ".join(f"`{task}`" for task in args.labels)
        text = _ONNX_USE.format(
            title=f"{self.system}, fold {self.name}, for ONNX Runtime", tasks=tasks, read=READ, main=MAIN_TASK
        )
        if measured is None:
            text += "Not measured: the audio of the held-out utterances was not at hand.\n"
        else:
            text += f"{measured_markdown(measured)}\n\nMeasured by `{command}`.\n"
            record = {"command": command, **measured, "environment": describe_environment()}
            atomic_write(folder / ONNX_FOLDER / "measured.json", json.dumps(record, indent=1) + "\n")
        atomic_write(folder / ONNX_FOLDER / CARD_FILE, text)
        return measured


def _export_to_transformers(models: Mapping[str, tuple], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Each task's head, that of the SER model before that of the intermediate one: where it lies, and why it does not."""
    from espnet_ser.publish.huggingface import export_classifier, export_ctc, why_not

    exported: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for model, args, _, _ in models.values():
        trained_on = all_of(args.trained_on, getattr(args, "pretrained_on", None))
        for task in model.tasks:
            if task in exported or task in left_out:
                continue
            if reason := why_not(model, task, args.tokenizer):
                left_out[task] = reason
                continue
            has_words = TASKS[task].kind == "ctc"
            exported[task] = "." if task == MAIN_TASK else f"{HEADS_FOLDER}/{'ctc' if has_words else task}"
            if has_words:
                export_ctc(model, args.tokenizer, folder / exported[task], trained_on)
            else:
                export_classifier(model, task, args.labels[task], folder / exported[task], trained_on)
    return exported, left_out

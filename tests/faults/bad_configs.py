"""System files, training configurations and further options that no training must begin with."""

SER = "ser: {tasks: [emotion]}\n"

SYSTEMS = {
    "no YAML": ("ser: [", "not YAML"),
    "binary": (b"\xff\xfe\x00\x01", "not YAML"),
    "empty": ("", "not a mapping of names to values"),
    "a list": ("- ser", "not a mapping of names to values"),
    "a number for a key": ("1: 2", "not a mapping of names to values"),
    "a date": ("ser: 2020-01-01", "only numbers, text, lists and mappings can be set"),
    "a Python object": ("ser: !!python/object/apply:os.system ['touch harm']", "not YAML"),
    "an unknown key": (SER + "stage2: {}", "unknown key 'stage2' (did you mean 'stage1'?)"),
    "no SER stage": ("stage1: {tasks: [asr]}", "the key 'ser' is missing"),
    "a finetuning that is text": ("ser: emotion", "a finetuning is a mapping"),
    "a finetuning that is null": (SER + "stage1:", "a finetuning is a mapping"),
    "an unknown key of a finetuning": ("ser: {tasks: [emotion], layers: 3}", "unknown key of a finetuning 'layers'"),
    "tasks that are text": ("ser: {tasks: emotion}", "tasks must be a list of tasks"),
    "no task": ("ser: {tasks: []}", "tasks must name at least one task"),
    "a task twice": ("ser: {tasks: [emotion, emotion]}", "each once"),
    "a task that is a list": ("ser: {tasks: [[emotion]]}", "unknown task"),
    "an unknown task": ("ser: {tasks: [emotoin]}", "did you mean 'emotion'"),
    "SER without emotion": ("ser: {tasks: [gender]}", "'ser' must train emotion"),
    "13 layers of 12": ("ser: {tasks: [emotion], trainable_layers: 13}", "must be 0 to 12, not 13"),
    "-1 layers": ("ser: {tasks: [emotion], trainable_layers: -1}", "must be 0 to 12, not -1"),
    "layers that are true": ("ser: {tasks: [emotion], trainable_layers: true}", "must be 0 to 12, not True"),
    "layers in words": ("ser: {tasks: [emotion], trainable_layers: eight}", "must be 0 to 12, not 'eight'"),
    "half a layer": ("ser: {tasks: [emotion], trainable_layers: 0.5}", "must be 0 to 12, not 0.5"),
    "a skip layer in words": ("ser: {tasks: [emotion, gender], skip_layer: maybe}", "skip_layer must be 0 to 12, not 'maybe'"),
    "a skip without gender": ("ser: {tasks: [emotion], skip_layer: 4}", "gender is not among the tasks"),
    "surgery on one task": ("ser: {tasks: [emotion], surgery: true}", "there is one"),
    "emotion reversed": ("ser: {tasks: [emotion], reversed: [emotion]}", "reversed may name gender and style"),
    "an unknown encoder": ("ser: {tasks: [emotion], encoder: cnn}", "unknown encoder 'cnn'"),
    "an encoder that is a list": ("ser: {tasks: [emotion], encoder: [ssl]}", "unknown encoder"),
    "two encoders": (SER + "stage1: {tasks: [gender], encoder: cnn_lstm}", "different encoders"),
    "paper's figures in words": (SER + "paper: {ua: good}", "must be a mapping of scores to percentages"),
    "paper's figures that are NaN": (SER + "paper: {ua: .nan}", "must be a mapping of scores to percentages"),
    "an unknown score": (SER + "paper: {uar: 70}", "unknown key of paper 'uar'"),
    "a table that the paper lacks": (SER + "rows: {9: 1}", "rows must be a mapping of tables"),
    "row 0": (SER + "rows: {'1': 0}", "rows must be a mapping of tables"),
}

TRAINING = {
    "a list": ("[max_epoch]", "not a mapping of names to values"),
    "empty": ("", "not a mapping of names to values"),
    "no YAML": ("max_epoch: [", "not YAML"),
    "binary": (bytes(range(256)), "not YAML"),
    "an unknown option": ({"max_epochs": 3}, "did you mean 'max_epoch'"),
    "0 epochs": ({"max_epoch": 0}, "--max_epoch must be a whole number from 1, not 0"),
    "half an epoch": ({"max_epoch": 1.5}, "max_epoch"),
    "epochs in words": ({"max_epoch": "ten"}, "max_epoch"),
    "epochs that are a list": ({"max_epoch": [1]}, "max_epoch takes one value, not [1]"),
    "batches of no utterance": ({"batch_size": 0}, "--batch_size must be a whole number from 1, not 0"),
    "batches of -16": ({"batch_size": -16}, "--batch_size must be a whole number from 1, not -16"),
    "a batch size that is a mapping": ({"batch_size": {"train": 3}}, "batch_size takes one value"),
    "an unknown kind of batches": ({"batch_type": "sorted"}, "unknown batch type 'sorted'"),
    "an unknown optimiser": ({"optim": "adamz"}, "did you mean 'adam'"),
    "an optimiser that is a list": ({"optim": ["adam"]}, "optim takes one value"),
    "settings of the optimiser as a number": ({"optim_conf": 0.1}, "optim_conf takes a mapping, not 0.1"),
    "an unknown setting of the optimiser": ({"optim_conf": {"lrr": 1}}, "did you mean 'lr'"),
    "a learning rate that is NaN": ({"optim_conf": {"lr": float("nan")}}, "lr"),
    "a negative learning rate": ({"optim_conf": {"lr": -1.0}}, "lr"),
    "a learning rate in words": ({"optim_conf": {"lr": "slow"}}, "optimiser"),
    "an unknown scheduler": ({"scheduler": "cosine"}, "unknown scheduler"),
    "a scheduler without what it needs": ({"scheduler": "steplr"}, "scheduler steplr"),
    "a scheduler that looks at the held-out fold": ({"scheduler": "reducelronplateau"}, "would choose the learning rate"),
    "early stopping": ({"patience": 3}, "would let the held-out fold choose the epoch"),
    "foreign weights": ({"init_param": ["x.pth"]}, "their training data are unknown"),
    "dropout of 2": ({"dropout": 2}, "--dropout must be 0 to 1"),
    "dropout that is NaN": ({"dropout": float("nan")}, "dropout"),
    "dropout that is a list": ({"dropout": [0.1]}, "dropout takes one value"),
    "a gradient clipped to NaN": ({"grad_clip": float("nan")}, "grad_clip"),
    "a gradient clipped to -1": ({"grad_clip": -1}, "--grad_clip must be above 0"),
    "mixed precision, maybe": ({"use_amp": "maybe"}, "use_amp"),
    "mixed precision without a GPU": ({"use_amp": True}, "mixed precision needs a GPU"),
    "one number of best models": ({"keep_nbest_models": 3}, "keep_nbest_models takes a list, not 3"),
    "no best model": ({"keep_nbest_models": [0]}, "--keep_nbest_models must be 1 or more"),
    "-1 workers": ({"num_workers": -1}, "--num_workers must be a whole number from 0"),
    "a million workers": ({"num_workers": 10**6}, "--num_workers must be a whole number from 0 to 1024"),
    "gradients gathered over true batches": ({"accum_grad": True}, "accum_grad"),
    "a log line every 0 steps": ({"log_interval": 0}, "--log_interval must be 1 or more"),
    "frozen parameters that are a number": ({"freeze_param": 3}, "freeze_param takes a list, not 3"),
    "frozen parameters that are not there": ({"freeze_param": ["encodr"]}, "no parameter is called so"),
    "an unknown type of numbers": ({"train_dtype": "float99"}, "unknown train_dtype 'float99'"),
    "what the recipe sets": ({"output_dir": "elsewhere"}, "--output_dir is set by the recipe"),
    "what trains nothing": ({"no_forward_run": True}, "--no_forward_run is set by the recipe"),
    "an unknown setting of the encoder": ({"encoder_conf": {"hidden_dropuot": 0.1}}, "did you mean 'hidden_dropout'"),
    "settings of the encoder as a list": ({"encoder_conf": ["hidden_dropout"]}, "encoder_conf takes a mapping"),
    "an encoder's size in words": ({"encoder_conf": {"hidden_size": "large"}}, "hidden_size must be a whole number"),
}

FURTHER_OPTIONS = {
    "quotes that do not match": ("'", "No closing quotation"),
    "an unknown one": ("--max_epo 1", "unknown ESPnet option '--max_epo'"),
    "a word that is no option": ("fast", "unknown ESPnet option 'fast'"),
    "a value missing": ("--max_epoch", "max_epoch"),
    "a value that is no number": ("--max_epoch x", "max_epoch"),
    "NaN": ("--dropout nan", "--dropout must be 0 to 1"),
    "an expression of Python": ("--optim_conf \"__import__('os').system('touch harm')\"", "is no mapping; write key=value"),
    "an object of YAML": ("--optim_conf lr='!!python/object/apply:os.system [touch harm]'", "is not YAML"),
    "a mapping that is not closed": ("--optim_conf '{lr: ['", "is not YAML"),
    "a setting without a value": ("--optim_conf lr", "is no mapping; write key=value"),
    "more layers than the encoder has": ("--trainable_layers 9", "trainable_layers must be 0 to 6"),
}


def system_case(content):
    return lambda room: room.system(content)


def training_case(config):
    return lambda room: room.training(config=config)


def options_case(words):
    return lambda room: room.training(f"--stage2_args={words}")


CASES = {f"system: {name}": (system_case(content), says) for name, (content, says) in SYSTEMS.items()}
CASES |= {f"training: {name}": (training_case(config), says) for name, (config, says) in TRAINING.items()}
CASES |= {f"further options: {name}": (options_case(words), says) for name, (words, says) in FURTHER_OPTIONS.items()}
CASES |= {
    "system: an unknown one": (
        lambda room: ("systems", "--conf", room.conf, "--system", "asr_ser"),
        "unknown system 'asr_ser' (did you mean 'asr__ser'?)",
    ),
    "system: no folder of them": (lambda room: ("systems", "--conf", room.root / "nowhere"), "no system's file there"),
    "training: no such file": (
        lambda room: room.training("--stage2_config", room.root / "nowhere.yaml"),
        "nowhere.yaml is missing: name a file with",
    ),
}

"""An encoder's configuration, taken as data: which of its settings are read, and what they may be.

transformers reads more from a configuration than sizes: names of code to import, of kernels to fetch, of other files of
weights. None of that belongs to an encoder that is read here.
"""

from collections.abc import Mapping
from math import prod

from espnet_ser.data.audio import LONGEST_WHOLE_S, SAMPLE_RATE
from espnet_ser.errors import InputError
from espnet_ser.utils.value_checks import check_settings, choice, flag, number, optional, several, whole_number

MAX_LAYERS = 128

MIN_SAMPLES_PER_FRAME, MAX_SAMPLES_PER_FRAME = 160, 16_000
"""Published encoders make a frame of 320 samples, the product of their strides; attention costs the square of the frames."""

MAX_USES_PER_SECOND = 2000
"""Times that a second of speech may use a weight, on average: wav2vec2-base 73, a small CNN alone 700, strides of 1 16,000."""

MAX_VALUES_PER_SECOND = 4_000_000  # of any layer's output; published encoders have 1.6 million after their first convolution

MAX_ATTENTION_VALUES = 200_000_000
"""Of one layer's attention, heads x frames x frames, over :data:`LONGEST_WHOLE_S`; wavlm-large has 49 million."""

_ASKS_FOR_MORE = {
    "auto_map": "names code to run",
    "custom_pipelines": "names code to run",
    "quantization_config": "asks for weights of another kind",
    "transformers_weights": "names another file of weights",
}
_ACTIVATIONS = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu", "selu", "silu", "swish")
_CHECKS = {
    "hidden_size": whole_number(1, 8192),
    "num_hidden_layers": whole_number(1, MAX_LAYERS),
    "num_attention_heads": whole_number(1, 512),
    "intermediate_size": whole_number(1, 65536),
    "conv_dim": several(whole_number(1, 8192), 1, 32),
    "conv_stride": several(whole_number(1, 1000), 1, 32),
    "conv_kernel": several(whole_number(1, 1000), 1, 32),
    "num_conv_pos_embeddings": whole_number(1, 4096),
    "num_conv_pos_embedding_groups": whole_number(1, 8192),
    "num_buckets": whole_number(4, 100_000),
    "max_bucket_distance": whole_number(2, 1_000_000),
    "adapter_attn_dim": optional(whole_number(1, 8192)),
    "hidden_act": choice(_ACTIVATIONS),
    "feat_extract_activation": choice(_ACTIVATIONS),
    "feat_extract_norm": choice(("group", "layer")),
    "layer_norm_eps": number(0, 1),
    "initializer_range": number(0, 10),
    **dict.fromkeys(("conv_bias", "do_stable_layer_norm", "apply_spec_augment", "feat_proj_layer_norm"), flag()),
    **dict.fromkeys(("hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout"), number(0, 1)),
    **dict.fromkeys(("layerdrop", "mask_time_prob", "mask_feature_prob"), number(0, 1)),
    **dict.fromkeys(("mask_time_length", "mask_feature_length"), whole_number(1, 10**6)),
    **dict.fromkeys(("mask_time_min_masks", "mask_feature_min_masks"), whole_number(0, 10**6)),
}
OF_TRAINING = {
    *("hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout", "feat_quantizer_dropout"),
    *("final_dropout", "layerdrop", "apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_time_min_masks"),
    *("mask_feature_prob", "mask_feature_length", "mask_feature_min_masks"),
}
"""Settings that training alone reads: the same weights are the same encoder whatever these are."""

_NOT_SUPPORTED = ("add_adapter", "conv_pos_batch_norm")


def encoder_settings(config_class: type) -> set[str]:
    """The settings of a kind of encoder itself, without those that transformers gives every model."""
    from transformers import PretrainedConfig

    return set(config_class().to_dict()) - set(PretrainedConfig().to_dict())


def check_cost(config: object, where: str) -> None:
    """Stops at settings that fit few weights, each of them permitted, and together make speech cost hours or gigabytes.
    ``config``: of transformers, for an encoder at 16 kHz. Raises InputError: says what is out of proportion.
    """
    samples_per_frame = prod(config.conv_stride)
    if not MIN_SAMPLES_PER_FRAME <= samples_per_frame <= MAX_SAMPLES_PER_FRAME:
        raise InputError(
            f"{where}: conv_stride makes a frame of every {samples_per_frame:,} samples, expected {MIN_SAMPLES_PER_FRAME} to "
            f"{MAX_SAMPLES_PER_FRAME:,}; take an encoder that is made for speech at 16 kHz"
        )
    weights = uses = values = 0.0
    per_second, width = float(SAMPLE_RATE), 1
    for dim, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        per_second /= stride
        weights += width * dim * kernel
        uses += width * dim * kernel * per_second
        values = max(values, dim * per_second)
        width = dim
    hidden, inner = config.hidden_size, config.intermediate_size
    per_frame = width * hidden + config.num_hidden_layers * (4 * hidden**2 + 2 * hidden * inner)
    per_frame += hidden**2 * config.num_conv_pos_embeddings // config.num_conv_pos_embedding_groups
    uses_per_second = (uses + per_frame * per_second) / (weights + per_frame)
    values = max(values, max(hidden, inner) * per_second)
    attention = config.num_attention_heads * (LONGEST_WHOLE_S * per_second) ** 2
    for what, amount, most in (
        ("uses of each weight in a second of speech", uses_per_second, MAX_USES_PER_SECOND),
        ("values that a layer makes of a second of speech", values, MAX_VALUES_PER_SECOND),
        (f"values of attention over {LONGEST_WHOLE_S:g} s", attention, MAX_ATTENTION_VALUES),
    ):
        if amount > most:
            raise InputError(
                f"{where}: {what}: {amount:,.0f}, at most {most:,} are computed here; the sizes of its convolutions and layers "
                f"are out of all proportion"
            )


def settings_of_encoder(config: Mapping[str, object]) -> dict[str, object]:
    """Of a configuration, what the encoder is built from: no names, versions or heads, and nothing that says nothing.

    >>> settings_of_encoder({"model_type": "hubert", "vocab_size": 32, "adapter_attn_dim": None, "layerdrop": 0.1})
    {'model_type': 'hubert', 'layerdrop': 0.1}
    """
    return {key: value for key in ("model_type", *_CHECKS) if (value := config.get(key)) is not None}


def checked_encoder_config(config: Mapping[str, object], config_class: type, where: str) -> dict[str, object]:
    """The settings of a configuration that make the encoder; what else stands in it is left out. ``config``: as transformers
    saved it; ``config_class``: the class of transformers that it is of. Raises InputError when it asks for code, or for what no
    encoder of this kind is.
    """
    for key, what in _ASKS_FOR_MORE.items():
        if config.get(key):
            raise InputError(f"{where}: {key} {what}, which is never done; take the encoder from where it was first published")
    for key in ("_attn_implementation", "attn_implementation", "_attn_implementation_internal"):
        if "/" in str(config.get(key)):
            raise InputError(f"{where}: {key} names code to fetch ({config[key]!r}), which is never done; remove it")
    for key in _NOT_SUPPORTED:
        if config.get(key):
            raise InputError(f"{where}: encoders with an adapter or a batch-normed positional convolution are not supported")
    check_settings(config, _CHECKS, where)
    settings = encoder_settings(config_class)
    return {key: value for key, value in config.items() if key in settings}

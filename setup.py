"""Packaging of s5_mm; torch, mmcv and the OpenMMLab packages are the environment's business (see docs/install.md)."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """The requirement lines of ``requirements/NAME.txt``."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name='s5_mm',
    version=re.search(r"__version__ = '(.+)'", (ROOT / 's5_mm' / 'version.py').read_text()).group(1),
    description='Semi-supervised pre-training and multi-dataset fine-tuning for remote sensing, on OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11',
    packages=find_packages(include=['s5_mm', 's5_mm.*']),
    install_requires=requirements('runtime'),
    extras_require={'mm': requirements('mm'), 'dev': requirements('dev')},
)

"""Gives the installed package its recipes, where mim and MMEngine look for them; all metadata is in pyproject.toml."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
RECIPES = ('configs', 'tools', 'model-index.yml')


class BuildWithRecipes(build_py):
    """Copies ``RECIPES`` to ``s5_mm/.mim``; an editable installation gets links to them."""

    def run(self) -> None:
        """Build."""
        super().run()
        home = (ROOT if self.editable_mode else Path(self.build_lib)) / 's5_mm' / '.mim'
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in RECIPES:
            source = ROOT / name
            if self.editable_mode:
                (home / name).symlink_to(Path('..', '..', name))
            elif source.is_dir():
                shutil.copytree(source, home / name, ignore=shutil.ignore_patterns('__pycache__', 'dev'))
            else:
                shutil.copy2(source, home / name)


setup(cmdclass={'build_py': BuildWithRecipes})

"""Run the repository's commands one after another, as a user would type them."""
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_command(script: str, *arguments: object, log: Path | None = None, **options: object) -> float:
    """Run a Python script of the repository in its root and wait for it.

    Args:
        script: Path below the root, e.g. ``'tools/train.py'``.
        arguments: Its positional arguments, and flags.
        log: File that gets the output; ``None`` lets it through to the terminal.
        options: Its options with values: ``off_domain=0.1`` is ``--off-domain 0.1``.

    Returns:
        Seconds that it took.

    Raises:
        RuntimeError: The command failed; shows the end of its output.
    """
    named = (part for name, value in options.items() for part in (f'--{name.replace("_", "-")}', str(value)))
    command = [sys.executable, '-W', 'ignore', script, *map(str, arguments), *named]
    start = time.perf_counter()
    if log is None:
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('w') as output:
            code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False,
                                  env=dict(os.environ, PYTHONUNBUFFERED='1')).returncode
    if code:
        tail = '' if log is None else '\n'.join(log.read_text(errors='replace').splitlines()[-15:])
        raise RuntimeError(f'{script} ended with code {code}; its output is in {log or "the terminal"}.\n{tail}')
    return time.perf_counter() - start

"""Execute a Jupyter notebook in this process and store what its cells show; nothing of Jupyter is needed.

A cell shows what it prints and the value of its last expression: pictures of Pillow, tables of pandas, else text. In
the cell with the tag "parameters", --set replaces values.
"""
import argparse
import ast
import base64
import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import s5_mm  # noqa: F401  first: it chooses how threads wait and gives mmrotate operators
from s5_mm.files import write_text


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebook', type=Path, help='.ipynb; it is executed in the folder where the command is')
    parser.add_argument('--out', type=Path, metavar='FILE', help='where to write it; default in place')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', help='parameters, values in Python')
    return parser.parse_args(argv)


def execute(notebook: dict[str, Any], parameters: Mapping[str, Any]) -> None:
    """Execute the code cells in turn.

    Args:
        notebook: As its file holds it; its outputs are replaced.
        parameters: Values that replace those of the cell with the tag ``parameters``.

    Raises:
        ValueError: That cell does not set one of these.
    """
    names: dict[str, Any] = dict(__name__='__main__')
    cells = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    for number, cell in enumerate(cells, 1):
        cell['execution_count'], cell['outputs'] = number, run_cell(''.join(cell['source']), number, names)
        if 'parameters' in cell['metadata'].get('tags', ()):
            unknown = sorted(set(parameters) - set(names))
            if unknown:
                raise ValueError(f'the notebook has no parameter {", ".join(unknown)}.')
            names.update(parameters)


def run_cell(source: str, number: int, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Execute a cell; what it shows, in the format of notebooks (nbformat 4).

    Args:
        source: Python.
        number: Of the cell.
        names: The notebook's variables.
    """
    tree, value, printed = ast.parse(source), None, io.StringIO()
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f'cell {number}', 'exec'), names)  # noqa: S102  the repository's own notebooks
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f'cell {number}', 'eval'), names)  # noqa: S307
    shown = []
    if printed.getvalue():
        shown.append(dict(output_type='stream', name='stdout', text=printed.getvalue().splitlines(keepends=True)))
    if value is not None:
        shown.append(dict(output_type='execute_result', execution_count=number, metadata={}, data=forms_of(value)))
    return shown


def forms_of(value: Any) -> dict[str, Any]:
    """A value as Jupyter stores it, by type of content."""
    forms: dict[str, Any] = {'text/plain': repr(value).splitlines(keepends=True)}
    if hasattr(value, '_repr_png_'):
        forms = {'image/png': base64.b64encode(value._repr_png_()).decode(), 'text/plain': ['<picture>']}
    elif hasattr(value, '_repr_html_'):
        forms['text/html'] = value._repr_html_().splitlines(keepends=True)
    return forms


def main(argv: list[str] | None = None) -> None:
    """Execute and store."""
    args = parse_args(argv)
    notebook = json.loads(args.notebook.read_text())
    parameters = {name: ast.literal_eval(value) for name, _, value in (text.partition('=') for text in args.set)}
    sys.path.insert(0, os.getcwd())
    execute(notebook, parameters)
    write_text(args.out or args.notebook, json.dumps(notebook, indent=1, ensure_ascii=False) + '\n')


if __name__ == '__main__':
    main()

"""Structure of the package: the order of imports, and where private members of the hosts are used."""
import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 's5_mm'

LAYERS = (
    ('dependencies', 'errors', 'files', 'hosts', 'images', 'launching', 'locks', 'ops', 'radiometry', 'randomness',
     'rasters', 'registry', 'routing', 'threads', 'tiling', 'version'),
    ('checkpoints', 'models'),
    ('datasets', ),
    ('curation', 'evaluation'),
    ('scenes', ),
    ('export', ),
    ('engine', ),
    ('apis', ),
    ('analysis', ),
)
"""Bottom up; a part imports from its own layer and those below."""

PRIVATE_ALLOWED = ('hosts.py', )
"""Files that use private members of hosts."""
PUBLIC_IN_PYTHON = ('_asdict', '_exit', '_fields', '_make', '_replace')
"""Documented members of named tuples and of ``os``."""


def sources():
    """Path inside the package -> syntax tree."""
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob('*.py')}


def part_of(path):
    """The subpackage or module below ``s5_mm`` that a file belongs to; ``None`` for ``s5_mm/__init__.py``."""
    return None if path == '__init__.py' else path.split('/')[0].removesuffix('.py')


def imported(path, tree):
    """Full names of what a file imports, also inside functions."""
    package = ['s5_mm', *path.split('/')[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{module}.{alias.name}' for alias in node.names)


def import_graph(trees):
    """(importing part, imported part) -> files with such an import."""
    edges = {}
    for path, tree in trees.items():
        for name in imported(path, tree):
            parts = name.split('.')
            if parts[0] == 's5_mm' and part_of(path) not in (None, parts[1]):
                edges.setdefault((part_of(path), parts[1]), []).append(path)
    return edges


def cycle(edges):
    """Parts that import each other in a circle, or none."""
    graph = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def test_every_part_has_a_layer():
    parts = {part_of(path) for path in sources()} - {None}
    assert parts <= {part for layer in LAYERS for part in layer}, 'give the new part a place in LAYERS'


def test_parts_import_from_their_layer_and_below():
    layer_of = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    upward = {edge: files for edge, files in import_graph(sources()).items()
              if layer_of[edge[0]] < layer_of[edge[1]]}
    assert not upward


def test_no_parts_import_each_other_in_a_circle():
    assert cycle(set(import_graph(sources()))) == []


def test_cycles_are_found():
    assert cycle({('a', 'b'), ('b', 'c'), ('a', 'c'), ('c', 'd')}) == []
    assert cycle({('a', 'b'), ('b', 'c'), ('c', 'b')}) == ['b', 'c']
    assert cycle({('a', 'a')}) == ['a']


def test_imports_of_all_kinds_are_found():
    tree = ast.parse('import torch\nfrom s5_mm import apis\nfrom ..engine.hooks import A\nfrom . import b\n'
                     'def f():\n    from .c import D\n')
    assert list(imported('curation/run.py', tree)) == [
        'torch', 's5_mm.apis', 's5_mm.engine.hooks.A', 's5_mm.curation.b', 's5_mm.curation.c.D']
    assert set(import_graph({'curation/run.py': tree})) == {('curation', 'apis'), ('curation', 'engine')}


def private_members(tree):
    """Private members of other objects, and private names of other packages, that a file uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ('self', 'cls')
            own |= isinstance(node.value, ast.Call) and getattr(node.value.func, 'id', '') == 'super'
            names = [] if own or node.attr in PUBLIC_IN_PYTHON else [node.attr]
        elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('getattr', 'hasattr', 'setattr'):
            names = [argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [*(node.module or '').split('.'), *(alias.name for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.startswith('_') and not name.endswith('__'))


def test_private_members_of_hosts_are_used_in_one_place():
    found = {path: names for path, tree in sources().items()
             if not path.startswith(PRIVATE_ALLOWED) and (names := list(private_members(tree)))}
    assert not found, 'wrap them in s5_mm/hosts.py'


def test_private_members_are_found():
    tree = ast.parse("self._a\nsuper()._b\nrow._replace()\nrunner._resume\ngetattr(x, '_c', 0)\nself.y._d\n"
                     'from torch.utils._pytree import tree_map\nfrom x import _e\nx.__class__\nfrom ._own import f')
    assert sorted(private_members(tree)) == ['_c', '_d', '_e', '_pytree', '_resume']


LOADS_TORCH = ('mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmrotate', 'mmseg', 'performance', 'timm', 'torch')


def loads_torch_first(tree):
    """What a file imports at its head, of what loads torch, before anything of this package."""
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
            [node.module] if isinstance(node, ast.ImportFrom) else [])
        for name in names:
            if name.split('.')[0] == 's5_mm':
                return None
            if name.split('.')[0] in LOADS_TORCH and name != 'mmengine.config':
                return name
    return None


def test_commands_load_our_package_before_torch_so_that_it_chooses_how_threads_wait():
    scripts = [path for folder in ('tools', 'data_prep', 'benchmarks') for path in (ROOT / folder).rglob('*.py')
               if "__name__ == '__main__'" in path.read_text()]
    assert len(scripts) > 20
    found = {str(path.relative_to(ROOT)): first for path in scripts
             if (first := loads_torch_first(ast.parse(path.read_text())))}
    assert not found, 'import s5_mm first'

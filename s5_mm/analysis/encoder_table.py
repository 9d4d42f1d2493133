"""The table of encoders as text, for the documentation."""
import torch

from s5_mm.models.backbones import ENCODERS
from s5_mm.models.backbones.encoder import MEAN, STD
from s5_mm.registry import MODELS

START, END = '<!-- {}, made by tools/analysis/encoder_table.py -->\n', '<!-- end -->\n'


def encoder_table() -> str:
    """Two Markdown tables of all encoders: what they are, and where they and their weights come from."""
    what = ['| name | parameters, M | image sides | channels of the maps | bands | mean; standard deviation |',
            '|---|---|---|---|---|---|']
    source = ['| name | paper | license of the code | of the weights | weights | note |', '|---|---|---|---|---|---|']
    for name, entry in ENCODERS.items():
        with torch.device('meta'):
            encoder = MODELS.build(dict(type='s5_mm.NamedEncoder', name=name, img_size=512))
        parameters = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
        imagenet = (encoder.mean, encoder.std) == (MEAN, STD)
        norm = 'ImageNet' if imagenet else f'{_numbers(encoder.mean)}; {_numbers(encoder.std)}'
        channels = encoder.out_channels if len(set(encoder.out_channels)) > 1 else encoder.out_channels[:1]
        what.append(f'| `{name}` | {parameters:.1f} | {encoder.divisor} px | {", ".join(map(str, channels))} | '
                    f'{encoder.in_channels} | {norm} |')
        source.append(f'| `{name}` | {entry.paper} | {entry.code} | {entry.license} | {entry.weights} | {entry.note} |')
    return '\n'.join([*what, '', *source, ''])


def with_table(text: str, start: str, table: str) -> str:
    """A document with a table between two marks.

    Args:
        text: The document.
        start: Name of the table in its mark.
        table: What stands between the marks then.

    Raises:
        ValueError: It has no such marks.
    """
    mark = START.format(start)
    before, found, rest = text.partition(mark)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f'The document has no lines {mark.strip()!r} and {END.strip()!r}; the table stands between '
                         'them.')
    return f'{before}{mark}\n{table}\n{END}{after}'


def _numbers(values: tuple[float, ...]) -> str:
    return ', '.join(f'{value:.1f}' for value in values)

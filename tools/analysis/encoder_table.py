"""Write the table of encoders into docs/encoders.md."""
import argparse
from pathlib import Path

from s5_mm.analysis import with_table
from s5_mm.files import replacing

DOCUMENT = Path(__file__).parents[2] / 'docs' / 'encoders.md'


def main(argv: list[str] | None = None) -> None:
    """Replace the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('document', nargs='?', type=Path, default=DOCUMENT, help='file with the marks of the table')
    document = parser.parse_args(argv).document
    text = with_table(document.read_text())
    with replacing(document) as unfinished:
        unfinished.write_text(text)


if __name__ == '__main__':
    main()

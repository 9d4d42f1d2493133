"""Write the tables of encoders and of their parameters into docs/encoders.md."""
import argparse
from pathlib import Path

from s5_mm.analysis import encoder_table, peer_table, with_table
from s5_mm.apis import load_config
from s5_mm.files import replacing

ROOT = Path(__file__).parents[2]
SEGMENTATION = ROOT / 'configs/s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py'
DETECTION = ROOT / 'configs/sdf_det/sdf_vit-b-s4p_oriented-rcnn_4xb2-12e_dota2-1024x1024.py'


def main(argv: list[str] | None = None) -> None:
    """Replace the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('document', nargs='?', type=Path, default=ROOT / 'docs' / 'encoders.md',
                        help='file with the marks of the tables')
    document = parser.parse_args(argv).document
    text = with_table(document.read_text(), 'encoders', encoder_table())
    text = with_table(text, 'parameters of the paper', peer_table(*map(load_config, (SEGMENTATION, DETECTION))))
    with replacing(document) as unfinished:
        unfinished.write_text(text)


if __name__ == '__main__':
    main()

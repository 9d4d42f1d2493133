"""Styles: the appearance of the ground in a region, a season and a sensor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from .classes import check_names

# The colors (hexadecimal RGB) that a material may have.
TEMPERATE = {
    'grass': '687a48 58703e 7a8254 707c58',
    'turf': '547e40 608a4a 6e8246 467042',
    'tree': '324c2c 3c5830 2c442a 485e36',
    'crop': '969654 6c8242 b2a068 7c6246 5a783c 8c7c5c',
    'soil': '968062 867054 a49276',
    'sand': 'd0c09c beac88',
    'gravel': '969086 aaa294 807a72',
    'clay': 'b0845e a0704e be9a76',
    'water': '2e4854 3a5452 283c50 425848',
    'foam': 'c4cece 96a8ac',
    'pool': '5cbad4 44a4ca 7aced8 3a8898 3c74b0',
    'asphalt': '58585a 686766 4a4b4e 787672',
    'concrete': 'a5a29a 92908a b8b4aa 807e7a',
    'pier': 'a4a098 8e7a64 787674 bab6ae',
    'roof': '965442 725446 78787c 46464a d2d0cc b8a890 607492 5c7264',
    'flat_roof': 'b0aea8 787878 56565a ceccc8 968a7c 687c8c',
    'roof_detail': '96989a c8c8c6 606266 b2aa9e',
    'vehicle': 'e2e2e2 bcbec2 26282c 767a80 982a28 304a7a 485c48 ccb67c ecece8',
    'truck': 'e8e8e6 c8cace 3c5c96 a03832 ce843a 5c6872 4c7a5a 34363a',
    'container': 'a84236 3a5c92 c47c3a 547e5c 96989a dedcd6 744e40',
    'ship': 'e2e2e0 964238 3c424a 4c607c c4beaa 707476 e8eaec',
    'deck': 'b0aca4 92765c 824e42 ccccc8 5c6e68 6e7074',
    'tank': 'e0e0dc c6c8c8 98705a 8c8e92 b0bcae ccc0a2 5c6064',
    'plane': 'e8e8e8 ced1d6 b4bbc4 787e82 d8cebe 92988c',
    'helicopter': '4a543e dedede aa342e 343e54 c2ac3e 707578',
    'court': '46785a 3c6096 a65c46 6e5282 7a7c7e 628248 b08c68',
    'court_edge': '526e50 96604c 46645c 3e5278 828280',
    'track': 'aa5440 96463c 48608c 827064 8c5a50',
    'marking': 'e4e4de cecec8',
    'marking_yellow': 'd4b248 bea050',
    'glass': '323c48 424c56 546470',
    'dark': '2c2c2e 424244 545250',
    'clutter': 'c4463c 3c64aa dcd8ce 785a42 545456 debe46 5a8254',
}


@cache
def parse_colors(text: str) -> tuple[tuple[int, int, int], ...]:
    """RGB triples (0-255) of ``'rrggbb rrggbb'``."""
    return tuple(tuple(bytes.fromhex(code)) for code in text.split())


@dataclass(frozen=True)
class Style:
    """The appearance of a scene; every pair is a range from which each image draws.

    Attributes:
        summary: Short description.
        gsd: Ground resolution, meters per pixel.
        palette: Colors of each material, hexadecimal RGB separated by spaces.
        shadow_length: Length of a shadow per meter of height.
        shadow_strength: Share of light that a shadow takes.
        saturation: 0 is gray, 1 is the unchanged palette.
        contrast: Factor around mid gray.
        brightness: Factor.
        gains: Color cast, one factor a channel.
        haze: Share of the picture replaced by ``haze_color``.
        haze_color: RGB, 0-255.
        blur: Gaussian sigma in pixels.
        noise: Standard deviation of sensor noise in gray levels.
        stripes: Standard deviation of column noise in gray levels.
        texture: Factor on the texture of all materials.
        false_color: Shows near infrared as red, red as green and green as blue, as an infrared camera does.
    """

    summary: str
    gsd: tuple[float, float] = (0.45, 0.55)
    palette: Mapping[str, str] = field(default_factory=lambda: TEMPERATE)
    shadow_length: tuple[float, float] = (0.4, 0.9)
    shadow_strength: tuple[float, float] = (0.4, 0.6)
    saturation: tuple[float, float] = (0.85, 1.15)
    contrast: tuple[float, float] = (0.9, 1.15)
    brightness: tuple[float, float] = (0.9, 1.1)
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    haze: tuple[float, float] = (0.0, 0.08)
    haze_color: tuple[int, int, int] = (200, 206, 214)
    blur: tuple[float, float] = (0.3, 0.7)
    noise: tuple[float, float] = (2.0, 6.0)
    stripes: tuple[float, float] = (0.0, 0.5)
    texture: float = 1.0
    false_color: bool = False


STYLES = {
    'temperate': Style('summer, central Europe, clear'),
    'arid': Style(
        'dry ground, pale roofs, hard light',
        (0.5, 0.65),
        TEMPERATE
        | {
            'grass': 'bea680 b09670 a6946e c8b28e',
            'turf': '868a54 968e60 b0a076 70824c',
            'tree': '586042 64684a 4e5a3e',
            'crop': 'baa678 78804a a68c68 c8b48c 607642',
            'soil': 'c4a47a b6926a ceb690',
            'asphalt': '80786e 928a7e 706a64',
            'concrete': 'c6baa6 b6ac9a d4cab8',
            'roof': 'cec0a8 beac92 ded6c6 aa967e 9c745a 88827c',
            'water': '3a6068 4a6c68 5c6858',
            'track': 'b0684e 965c4c 786e68',
        },
        shadow_length=(0.3, 0.7),
        shadow_strength=(0.5, 0.7),
        contrast=(1.0, 1.2),
        gains=(1.05, 1.0, 0.9),
    ),
    'tropical': Style(
        'lush green, metal roofs, red soil, humid air',
        (0.35, 0.45),
        TEMPERATE
        | {
            'grass': '4a7c34 5c8a3e 406c32 6e8c46',
            'turf': '468232 5a923e 3a7034',
            'tree': '1e4a22 2c5c28 183c20 426c2c',
            'crop': '3c7c36 689042 8c9650 925c3e 506e54',
            'soil': 'a06040 8e5238 ae7654',
            'gravel': 'a27e66 928070',
            'roof': '5a82aa b0b6ba 964234 785c4c ced0ce 5c8c6e 8c6a58',
            'water': '56684e 68684c 346468 3c787c',
            'clay': 'a0583c 925038',
        },
        saturation=(0.8, 1.05),
        haze=(0.02, 0.16),
        shadow_length=(0.15, 0.5),
        brightness=(0.85, 1.05),
    ),
    'winter': Style(
        'snow on open ground, bare crowns, low sun',
        (0.45, 0.6),
        TEMPERATE
        | {
            'grass': 'dee1e6 d0d4da c4c2bc e6e8ec',
            'turf': 'ccd2d0 d8dcde b2baac e2e4e8',
            'tree': '645c54 54504c 3e483e 7c7670',
            'crop': 'd6d8dc c2beb8 aaa094 e2e4e8',
            'soil': 'aca298 c4beb8 8c8278',
            'gravel': 'bebebe a09e9c',
            'sand': 'ceccc8 beb8ae',
            'concrete': 'bcbec2 a4a6aa ced0d4',
            'asphalt': '5c5c60 747478 8e9094',
            'roof': 'd8dade c4c4c8 967870 7e7e84 e4e6ea 5c5c62',
            'flat_roof': 'd6d8dc bec0c4 96989c e2e4e6',
            'water': '2c3a46 465460 6e7a84 96a0a8',
            'pool': '96acb2 607a80 5a96aa bac6cc',
            'clay': 'b8a08e c4b8ae',
            'track': 'b88276 a07068 aab0ba',
        },
        shadow_length=(1.0, 1.8),
        shadow_strength=(0.35, 0.55),
        saturation=(0.6, 0.9),
        gains=(0.97, 1.0, 1.06),
    ),
    'autumn': Style(
        'colored crowns, ploughed fields, sharp drone-like pictures',
        (0.3, 0.38),
        TEMPERATE
        | {
            'grass': '8e8450 7e784a 9c8c5c 6c7446',
            'tree': 'aa6a2c 964828 ba8e38 686034 7c3e2a',
            'crop': '7a5a42 927050 b09662 604838 84824c',
            'turf': '707e40 807c4a 5e743e',
            'water': '323c3e 46483e 28343c',
        },
        blur=(0.0, 0.4),
        noise=(1.0, 3.0),
        shadow_length=(0.8, 1.4),
        gains=(1.06, 1.0, 0.92),
        texture=1.3,
    ),
    'coastal_haze': Style(
        'hazy, bluish and soft, coarse pixels',
        (0.6, 0.75),
        TEMPERATE
        | {
            'grass': '74805c 828666 687658',
            'water': '285c74 326e7e 468086',
            'roof': 'cec8be a4604a bcaa92 dedcd6 787a7e',
            'soil': 'baac90 aa9a80',
        },
        haze=(0.25, 0.5),
        haze_color=(186, 202, 218),
        blur=(0.6, 1.0),
        gains=(0.94, 1.0, 1.07),
        saturation=(0.6, 0.9),
        shadow_strength=(0.25, 0.4),
    ),
    'old_sensor': Style(
        'nearly gray, noisy, striped, coarse pixels',
        (0.75, 0.95),
        blur=(0.6, 1.1),
        noise=(8.0, 15.0),
        stripes=(1.5, 4.0),
        saturation=(0.0, 0.25),
        contrast=(0.7, 1.3),
        brightness=(0.75, 1.15),
        haze=(0.0, 0.2),
        haze_color=(190, 188, 180),
    ),
    'infrared': Style(
        'false color: near infrared, red, green', (0.35, 0.5), false_color=True, contrast=(0.9, 1.2), noise=(1.5, 5.0)
    ),
    'dusk': Style(
        'low warm light, long and deep shadows',
        (0.4, 0.55),
        shadow_length=(1.6, 2.6),
        shadow_strength=(0.55, 0.75),
        brightness=(0.5, 0.75),
        gains=(1.15, 0.95, 0.8),
        noise=(4.0, 9.0),
        saturation=(0.9, 1.2),
        contrast=(0.95, 1.25),
    ),
}


def pick_styles(names: tuple[str, ...]) -> tuple[Style, ...]:
    """Looks styles up by name.

    Raises:
        ValueError: If a name is unknown, repeated, or none is given.
    """
    check_names('style', names, tuple(STYLES))
    return tuple(STYLES[name] for name in names)

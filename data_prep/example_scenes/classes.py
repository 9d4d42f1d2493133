"""Classes of a scene, finer than those of any benchmark so that a writer only needs a table."""

LAND_COVER = ('clutter', 'bare_land', 'low_vegetation', 'tree', 'cropland', 'water', 'road', 'pavement', 'building')

OBJECTS = (
    'ship',
    'storage_tank',
    'baseball_diamond',
    'tennis_court',
    'basketball_court',
    'ground_track_field',
    'bridge',
    'large_vehicle',
    'small_vehicle',
    'helicopter',
    'swimming_pool',
    'roundabout',
    'soccer_field',
    'plane',
    'harbor',
)

SCENE_CLASSES = LAND_COVER + OBJECTS
CLASS_ID = {name: index for index, name in enumerate(SCENE_CLASSES)}


def check_names(kind: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuses names outside a known set.

    Args:
        kind: What the names are, for the message, for example ``'style'``.
        names: Names given by the user.
        known: Names that exist.

    Raises:
        ValueError: If ``names`` is empty, repeats a name or holds an unknown one.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f'unknown {kind} {", ".join(map(repr, unknown))}; known: {", ".join(known)}')
    if not names or len(set(names)) < len(names):
        raise ValueError(f'give each {kind} once and at least one; got {list(names)}, known: {", ".join(known)}')

"""Themes: which parcels, water and streets make up a scene."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """The content of a scene.

    Attributes:
        features: Parcels that appear once each, near the middle; names separated by spaces.
        filler: Parcels that fill the rest, drawn at random; a name given twice is twice as likely.
        parcel: Typical length of a parcel in meters.
        water: ``port``, ``marina``, ``beach``, ``river`` or none.
        roundabout: Probability that the main crossing is a roundabout.
        traffic: Mean gap between vehicles of a lane in meters.
    """

    features: str
    filler: str
    parcel: float = 60.0
    water: str | None = None
    roundabout: float = 0.0
    traffic: float = 30.0


THEMES = {
    'port': Theme('containers tanks logistics', 'containers truck_stop tanks bare_ground', 55, water='port'),
    'marina': Theme('pool_club tennis parking', 'houses pool_club park blocks', 45, water='marina'),
    'beach': Theme('pool_club helipads forest', 'houses park meadow soccer forest', 50, water='beach'),
    'river': Theme('houses soccer tanks', 'blocks park forest crops logistics', 50, water='river', traffic=16),
    'town_river': Theme('blocks track parking', 'blocks houses park basketball', 55, water='river', traffic=10),
    'valley': Theme('forest crops soccer', 'crops orchard forest farmyard meadow', 60, water='river', traffic=40),
    'airport': Theme('apron runway apron', 'apron runway meadow parking tanks', 75, traffic=50),
    'airfield': Theme('helipads apron crops', 'apron helipads runway crops forest', 60, traffic=60),
    'air_base': Theme('apron helipads track', 'blocks helipads apron forest tanks', 62),
    'sports_park': Theme('track basketball tennis', 'soccer baseball tennis parking park', 80, roundabout=0.2),
    'school': Theme('baseball basketball track', 'blocks houses playground soccer parking', 62, roundabout=0.2),
    'ball_park': Theme('baseball tennis basketball', 'baseball park soccer forest', 55, roundabout=0.2),
    'suburb': Theme('houses houses baseball', 'houses houses playground park tennis', 60, roundabout=0.6, traffic=25),
    'tank_farm': Theme('tanks tanks truck_stop', 'tanks logistics crops bare_ground', 65, roundabout=0.2),
    'industrial': Theme(
        'logistics truck_stop helipads', 'logistics containers tanks parking soccer', 65, roundabout=0.5, traffic=14
    ),
    'city': Theme('blocks basketball parking', 'blocks blocks park tennis parking', 45, roundabout=0.5, traffic=12),
    'farmland': Theme('crops farmyard crops', 'crops crops orchard forest meadow', 70, roundabout=0.2, traffic=60),
    'old_town': Theme('houses blocks pool_club', 'houses blocks park blocks', 45, roundabout=0.4, traffic=18),
}
THEME_NAMES = tuple(THEMES)

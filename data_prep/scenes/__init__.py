"""Procedural overhead scenes: what is on the ground, how a sensor sees it, and how a benchmark stores it.

The three are independent. ``layout.build_scene`` puts land cover and objects into world coordinates (meters),
``render.render`` draws them at the ground resolution and in the palette of a ``styles.Style``, and the modules of
``writers`` translate the scene classes of ``classes`` into the ids and files of one benchmark each.
"""

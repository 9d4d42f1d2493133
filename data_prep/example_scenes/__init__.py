"""Procedural overhead scenes for examples and tests: land, its picture, and the files of a benchmark.

The quickstart, the benchmarks and the tests need data of every supported format without a download, and this package
draws it. Its pictures are no training data for real use. It imports nothing of :mod:`s5_mm`, so that its processes
start quickly.

The three are independent. ``layout.build_scene`` puts land cover and objects into world coordinates (meters),
``render.render`` draws them at the ground resolution and in the palette of a ``styles.Style``, and the modules of
``writers`` translate the scene classes of ``classes`` into the ids and files of one benchmark each.
"""

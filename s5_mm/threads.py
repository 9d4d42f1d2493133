"""How long the threads of a CPU wait for each other, chosen before torch starts them."""
import os
import sys

SPINS = 1000
"""Looks at a lock before a thread goes to sleep, about 0.05 ms. GNU OpenMP's own 300,000 are up to 15 ms."""
SETTINGS = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')


def limit_spinning() -> None:
    """Let the threads of OpenMP sleep soon where they wait for each other.

    A thread that waits by looking again and again keeps a core busy. Where another process wants that core, the thread
    that is waited for may be the one that does not run, and training takes many times as long. Threads that sleep at
    once are slower where the machine is free, since a network has thousands of short waits in a step.

    GNU OpenMP reads the setting when torch loads it. It is passed on to child processes. Nothing happens where torch is
    loaded already, or where ``OMP_WAIT_POLICY`` or ``GOMP_SPINCOUNT`` is set. ``benchmarks/busy.py`` measures it.
    """
    if 'torch' not in sys.modules and not any(name in os.environ for name in SETTINGS):
        os.environ['GOMP_SPINCOUNT'] = str(SPINS)

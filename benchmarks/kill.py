"""Kill commands at any moment, again and again, and compare what it comes to with an undisturbed run.

A scenario is run once undisturbed. Then it is begun, killed (SIGKILL to the process alone, as the kernel does it when
memory is short), repeated with the same command, killed again ..., and at last left to finish. Half of the kills come
at a random time, the other half while a file is written. Every finish must be equal to the undisturbed one; there must
be no other file, and no process that outlives a kill by more than some seconds.

Processes are forked from this one, which has imported everything and never computes, so that a life takes seconds.
"""
import argparse
import os
import platform
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prettytable import PrettyTable

from benchmarks.kill_scenarios import SCENARIOS, Scenario
from s5_mm.files import write_json

MOST_KILLS = 8  # of one run
ORPHANS_LIVE = 15.0  # seconds that loader workers may need to notice that their parent is dead


@dataclass
class Counts:
    """What happened.

    Attributes:
        kills: Lives that ended by a kill.
        while_writing: Those of them that left a temporary file.
        finishes: Runs that were left to finish.
        different: Runs whose files are not those of an undisturbed one.
        failed: Runs that ended with an error.
        lost: Kills after which no complete file was there, though there had been one.
        orphans: Groups of processes that lived on.
    """

    kills: int = 0
    while_writing: int = 0
    finishes: int = 0
    different: int = 0
    failed: int = 0
    lost: int = 0
    orphans: int = 0


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=200, help='of all scenarios together (default: %(default)s)')
    parser.add_argument('--scenarios', nargs='*', choices=SCENARIOS, default=list(SCENARIOS), help='(default: all)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/kill'),
                        help='for data and outputs; runs that end differently are kept there (default: %(default)s)')
    parser.add_argument('--out', type=Path, help='JSON to write')
    return parser.parse_args(argv)


# Killing

def start(scenario: Scenario, folder: Path) -> int:
    """Run a scenario in a forked process that leads a group of processes; returns its number."""
    process = os.fork()
    if process:
        return process
    code, log = 1, os.open(folder.with_suffix('.log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.setsid()
        os.dup2(log, 1)
        os.dup2(log, 2)
        scenario.run(folder)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        os.write(log, f'{stop}\n'.encode())
    except BaseException:
        os.write(log, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def has_ended(process: int) -> bool:
    """Whether a process has ended, without taking its exit code."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_at(process: int, moments: Iterator[bool]) -> bool:
    """Kill a process at the first true one of ``moments``; returns whether it was still alive."""
    for now in moments:
        if has_ended(process):
            return False
        if now:
            os.kill(process, signal.SIGKILL)
            return True
    return False


def at_a_time(seconds: float) -> Iterator[bool]:
    """True after a time."""
    end = time.monotonic() + seconds
    while True:
        yield time.monotonic() >= end
        time.sleep(0.005)


def at_a_write(scenario: Scenario, folder: Path, number: int, delay: float) -> Iterator[bool]:
    """True some seconds after the ``number``-th time that a file is begun."""
    before = False
    while True:
        now = scenario.is_writing(folder)
        number -= now and not before
        if number <= 0:
            time.sleep(delay)
            yield True
        before = now
        yield False


def chosen_moments(scenario: Scenario, folder: Path, length: float, chance: random.Random) -> Iterator[bool]:
    """At a time within the length of an undisturbed run, or while one of the first files is written."""
    if chance.random() < 0.5:
        return at_a_write(scenario, folder, chance.randint(1, 6), chance.random() * 0.01)
    return at_a_time(chance.uniform(0, length))


class Orphans:
    """Groups of processes whose leader is dead. The next life begins while they end."""

    def __init__(self) -> None:
        self.groups: dict[int, float] = {}

    def add(self, group: int) -> None:
        """Remember a group, from the moment when its leader died."""
        self.groups[group] = time.monotonic()

    def count(self) -> int:
        """Wait until all have had time to end; returns the number of those that live, which are killed."""
        while self.groups and time.monotonic() < max(self.groups.values()) + ORPHANS_LIVE:
            living = living_groups()
            self.groups = {group: died for group, died in self.groups.items() if group in living}
            time.sleep(0.1)
        for group in self.groups:
            os.killpg(group, signal.SIGKILL)
        found = len(self.groups)
        self.groups.clear()
        return found


def living_groups() -> set[int]:
    """Groups of all processes that are not zombies, by Linux's /proc."""
    groups = set()
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, group = path.read_text().rpartition(')')[2].split()[:3]
        except OSError:  # it has ended
            continue
        if state != 'Z':
            groups.add(int(group))
    return groups


def attack(scenario: Scenario, folder: Path, expected: dict, kills: int, length: float, chance: random.Random,
           counts: Counts) -> None:
    """Kill a run at most ``kills`` times, let it finish and compare it; counts what happens."""
    shutil.rmtree(folder, ignore_errors=True)
    had_result, orphans = False, Orphans()
    while True:
        process = start(scenario, folder)
        killed = kills > 0 and kill_at(process, chosen_moments(scenario, folder, length, chance))
        _, status = os.waitpid(process, 0)
        orphans.add(process)
        if not killed:
            break
        kills -= 1
        counts.kills += 1
        counts.while_writing += scenario.is_writing(folder)
        has_result = has_complete(scenario, folder)
        counts.lost += had_result and not has_result
        had_result = has_result
    counts.orphans += orphans.count()
    counts.finishes += 1
    same = status == 0 and scenario.state(folder) == expected
    counts.failed += status != 0
    counts.different += status == 0 and not same
    if not same:
        kept = folder.with_name(f'{folder.name}_bad_{counts.finishes}')
        if folder.exists():
            folder.rename(kept)
        print(f'a run that ended {"otherwise" if status == 0 else "with an error"} is kept in {kept}')


def has_complete(scenario: Scenario, folder: Path) -> bool:
    """Whether there is a complete file, be it of a part of the work; a broken one under its final name is an error."""
    return folder.is_dir() and any(value != 'litter' for value in scenario.state(folder).values())


def undisturbed(name: str, folder: Path) -> float:
    """Run a scenario without a kill; returns the seconds that it takes.

    Raises:
        RuntimeError: It fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    begun = time.monotonic()
    if os.waitpid(start(SCENARIOS[name], folder), 0)[1]:
        raise RuntimeError(f'{name} fails undisturbed; see {folder.with_suffix(".log")}')
    return time.monotonic() - begun


def main(argv: list[str] | None = None) -> int:
    """Kill, print the figures, and return the number of runs that did not end as the undisturbed one."""
    args = parse_args(argv)
    work_dir = args.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    chance, results = random.Random(args.seed), {}  # noqa: S311  moments need no secrecy
    for name in args.scenarios:
        scenario, folder = SCENARIOS[name], work_dir / f'run_{list(SCENARIOS).index(name)}'
        undisturbed(name, folder)  # makes the data, too
        length, counts = undisturbed(name, folder), Counts()
        expected, kills = scenario.state(folder), args.kills // len(args.scenarios)
        while counts.kills < kills:
            attack(scenario, folder, expected, min(kills - counts.kills, chance.randint(1, MOST_KILLS)), length, chance,
                   counts)
            print(f'{name}: {counts}', flush=True)
        results[name] = asdict(counts)
    table = PrettyTable(['scenario', *(field.name for field in fields(Counts))])
    table.add_rows([[name, *counts.values()] for name, counts in results.items()])
    print(table)
    if args.out:
        write_json(args.out, dict(date=str(date.today()), machine=platform.machine(), cores=os.cpu_count(),
                                  seed=args.seed, results=results))
    return sum(counts[what] for counts in results.values() for what in ('different', 'failed', 'lost', 'orphans'))


if __name__ == '__main__':
    sys.exit(min(main(), 1))

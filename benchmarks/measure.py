"""Time rivals fairly: in one process, taking turns, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Times:
    """Seconds of each round of one rival."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def wall_seconds(self) -> float:
        """Median wall time of a round."""
        return statistics.median(self.wall)

    @property
    def cpu_seconds(self) -> float:
        """Median processor time of a round, over all threads: other processes hardly show in it."""
        return statistics.median(self.cpu)


def take_turns(rivals: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Times]:
    """Run every rival once untimed, then once a round, each round beginning with another one."""
    for run in rivals.values():
        run()
    times = {name: Times() for name in rivals}
    names = list(rivals)
    for index in range(rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            wall, cpu = time.perf_counter(), time.process_time()
            rivals[name]()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    return times

"""The schedule that is no function of the step: a rate that falls when validation stops getting better.

What it remembers follows from the validations before, so it lies in the checkpoint beside them, and a run that is
killed and continued reduces at the same steps. The decisions are those of torch's ReduceLROnPlateau (mode "min",
threshold_mode "rel"), on shares of the peak instead of rates.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from hornbook.config.optimizing import PlateauScheduleConfig


@dataclass
class Plateau:
    """The rate's share of its peak, and how validation went since it last fell.

    Args:
        share: of the peak rate.
        best: the lowest loss that counted as better.
        bad_in_a_row: validations since then that were no better.
        cooldown: validations still to come that are not judged.
    """

    share: float = 1.0
    best: float | None = None
    bad_in_a_row: int = 0
    cooldown: int = 0

    def update(self, loss: float, config: PlateauScheduleConfig) -> bool:
        """Take a validation loss, which may be not finite; return whether the rate falls."""
        if math.isfinite(loss) and (self.best is None or loss < self.best * (1 - config.threshold)):
            self.best, self.bad_in_a_row = loss, 0
        else:
            self.bad_in_a_row += 1
        if self.cooldown:
            self.cooldown, self.bad_in_a_row = self.cooldown - 1, 0
        if self.bad_in_a_row <= config.patience:
            return False
        before, self.share = self.share, max(self.share * config.factor, config.min_fraction)
        self.bad_in_a_row, self.cooldown = 0, config.cooldown
        return self.share < before

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)

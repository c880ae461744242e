"""A straight line through samples that outliers do not move, and how sure its slope is. Pure.

The slope is the median of the slopes between any two points (Theil 1950, Sen 1968, "Estimates of
the regression coefficient based on Kendall's tau"), its interval that of Sen at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

Point = tuple[float, float]  # seconds, value
_BUCKETS = 96
_NORMAL = 1.96  # 95 % of a normal distribution lies within so many deviations


@dataclass(frozen=True, slots=True)
class Trend:
    """A line, and where it came from."""

    slope: float  # per second
    least: float  # the slope is between these
    most: float
    level: float  # of the line at its end
    end: float  # seconds
    samples: int
    span: float  # seconds from the first sample to the last

    @property
    def grows(self) -> bool:
        """It does, beyond its noise."""
        return self.least > 0

    def until(self, limit: float, slope: float | None = None) -> float | None:
        """Return the seconds from the end until the limit is met; None: never, at this slope."""
        rate = self.slope if slope is None else slope
        if self.level >= limit:
            return 0.0
        return (limit - self.level) / rate if rate > 0 else None


def fit(points: Sequence[Point]) -> Trend | None:
    """Return the line through points in order of time; None of fewer than three moments."""
    if len(points) < 3 or points[-1][0] <= points[0][0]:
        return None
    first, last = points[0][0], points[-1][0]
    thin = _thinned(points, first, (last - first) / _BUCKETS)
    slopes = sorted(
        (thin[j][1] - thin[i][1]) / (thin[j][0] - thin[i][0])
        for i in range(len(thin))
        for j in range(i + 1, len(thin))
    )
    if len(thin) < 3:
        return None
    slope = median(slopes)
    count = len(thin)
    wide = _NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, int((len(slopes) - wide) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + wide) / 2))
    level = median(value + slope * (last - at) for at, value in thin)
    return Trend(slope, slopes[low], slopes[high], level, last, len(points), last - first)


def _thinned(points: Sequence[Point], first: float, width: float) -> list[Point]:
    """Return the means of equal stretches of time: of all there would be millions of pairs."""
    held: dict[int, list[Point]] = {}
    for at, value in points:
        held.setdefault(int((at - first) / width), []).append((at, value))
    return [
        (fmean(at for at, _ in each), fmean(value for _, value in each))
        for _, each in sorted(held.items())
    ]

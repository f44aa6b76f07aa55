"""How much may be asked of an endpoint, how fast and for how much; for several threads at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from ..errors import IncompleteRunError, UsageError

OPENAI = "https://api.openai.com/v1"
MILLION = 1_000_000


class MaxCostError(IncompleteRunError):
    """The next request could cost more than may be spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSpec:
    """Where a server is, how it is asked, and what it may cost."""

    url: str = OPENAI  # Up to `/chat/completions`
    # Environment variable with its key; None: OPENAI_API_KEY, if that is set
    key_env: str | None = None
    concurrency: int = 4  # Most requests under way
    timeout_seconds: float = 60.0  # Longest wait for one reply
    first_wait_seconds: float = 1.0  # Before the second attempt; doubled before each further one
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None  # Of prompts, estimated, and of replies at their longest
    max_cost: float | None = None  # Of all replies in the run files, in the currency of the prices
    price_in: float | None = None  # Of a million tokens of prompts
    price_out: float | None = None  # Of a million tokens of replies

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep."""
        for name in ("concurrency", "timeout_seconds", "first_wait_seconds"):
            if not getattr(self, name) > 0:
                raise UsageError("waits and the number of questions under way must be positive")
        for name in ("requests_per_minute", "tokens_per_minute", "max_cost"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise UsageError(f"--{name.replace('_', '-')} is {value:g}; give more than 0")
        prices = (self.price_in, self.price_out)
        if any(price is not None and not price >= 0 for price in prices):
            raise UsageError("a price is below 0; give --price-in and --price-out of 0 or more")
        if prices.count(None) == 1 or (self.max_cost is not None and not self.priced):
            raise UsageError("give --price-in and --price-out, of a million tokens each")

    @property
    def priced(self) -> bool:
        """Whether it is known what tokens cost."""
        return self.price_in is not None and self.price_out is not None

    def cost(self, n_in: float, n_out: float) -> float:
        """Return what so many tokens of prompts and replies cost; 0 if nobody said."""
        return (n_in * (self.price_in or 0.0) + n_out * (self.price_out or 0.0)) / MILLION


class Limits:
    """What was spent so far, and when the next request may be sent."""

    def __init__(self, spec: EndpointSpec, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing spent; `clock` gives seconds."""
        self.spec, self._clock = spec, clock
        # Cost of all replies so far, and at most of what failed and may have been charged
        self.spent = 0.0
        self._held: list[float] = []  # at most, of requests under way
        self._free = 0.0  # when the next request may be sent
        self._changed = Condition()

    def spend(self, cost: float) -> None:
        """Count what was spent."""
        with self._changed:
            self.spent += cost

    @contextmanager
    def held(self, most: float) -> Iterator[None]:
        """Set aside what a request costs at most, until it has ended.

        Waits for those under way if only together they could be too much.
        """
        with self._changed:
            while self._over(most):
                if not self._held:
                    raise MaxCostError(
                        f"stopped at --max-cost {self.spec.max_cost:g}: {self.spent:.6g} is spent, "
                        f"the next reply may cost {most:.2g}; replies so far are kept, the same "
                        "command with a higher --max-cost goes on"
                    )
                self._changed.wait()
            self._held.append(most)
        try:
            yield
        finally:
            with self._changed:
                self._held.remove(most)
                self._changed.notify_all()

    def delay(self, n_tokens: float) -> float:
        """Take the next place in the queue and return the seconds until then."""
        requests, tokens = self.spec.requests_per_minute, self.spec.tokens_per_minute
        gap = max(60 / requests if requests else 0.0, 60 * n_tokens / tokens if tokens else 0.0)
        with self._changed:
            now = self._clock()
            start = max(now, self._free)
            self._free = start + gap
            return start - now

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        with self._changed:
            self._free = max(self._free, self._clock() + seconds)

    def _over(self, most: float) -> bool:
        return (
            self.spec.max_cost is not None
            and self.spent + sum(self._held) + most > self.spec.max_cost
        )

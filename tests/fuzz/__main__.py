"""`python -m tests.fuzz [--count N] [--first SEED] [KIND …]`: try mutants and print what became of them."""

from __future__ import annotations

import argparse
from collections import Counter

from unetseg.errors import did_you_mean

from .harness import Outcome, try_mutants, work
from .kinds import KINDS


def main() -> int:
    """Print a line a kind, and each fault; returns 1 if there was one."""
    parser = argparse.ArgumentParser(description="Try damaged files of every kind that unetseg reads.")
    parser.add_argument("kinds", nargs="*", help="kinds to try (default: all): " + ", ".join(KINDS))
    parser.add_argument("--count", type=int, default=1000, help="mutants of each kind")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--show", type=int, default=3, help="faults of each sort to print")
    parser.add_argument("--worker", nargs=3, metavar=("KIND", "FIRST", "STOP"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        name, first, stop = given.worker
        work(KINDS[name], name, range(int(first), int(stop)))
        return 0
    unknown = [kind for kind in given.kinds if not any(kind in name for name in KINDS)]
    if unknown:
        parser.error(f"no kind {unknown[0]!r}: {did_you_mean(unknown[0], KINDS)}")
    wanted = [name for name in KINDS if not given.kinds or any(k in name for k in given.kinds)]
    seeds = range(given.first, given.first + given.count)
    found = [report(name, list(try_mutants(name, seeds)), given.show) for name in wanted]
    return int(any(found))


def report(name: str, outcomes: list[Outcome], show: int) -> bool:
    """Print the outcomes of a kind; whether there was a fault."""
    counts = Counter(outcome.what for outcome in outcomes)
    faults = [outcome for outcome in outcomes if outcome.is_fault]
    sorts = ", ".join(f"{what} {count}" for what, count in counts.most_common())
    print(f"{name}: {len(outcomes)} mutants, {len(faults)} faults ({sorts})", flush=True)  # noqa: T201
    shown: Counter[str] = Counter()
    for fault in faults:
        shown[fault.what] += 1
        if shown[fault.what] <= show:
            print(f"    seed {fault.seed} ({fault.damage}): {fault.what}: {fault.detail}")  # noqa: T201
    return bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())

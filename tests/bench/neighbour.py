#!/usr/bin/env python3
"""What a neighbour lost, as a table: neighbour.py RESULTS

Slower for a longer time is the same as much slower for a short one: what counts is the neighbour's
time that a GB staged beside it cost.
"""
import statistics
import sys

import summary


def main():
    runs = {}
    for run in summary.read(sys.argv[1]):
        if run.get("work") == "neighbour":
            runs.setdefault((run["what"], run["who"]), []).append(run)
    if not runs:
        return
    print("\nneighbour (a loop on every processor, or 4 KB of I/O, while a dataset is staged beside it)")
    print(f"{'neighbour':12}{'beside':12}{'slower by':>10}{'for':>9}{'lost s/GB':>12}{'spread':>8}")
    for (what, who), of in sorted(runs.items()):
        lost = [max(0, 1 - run["beside"] / run["alone"]) for run in of]
        cost = [share * run["seconds"] / run["gb"] if run["gb"] else 0 for share, run in zip(lost, of)]
        middle = statistics.median(cost)
        seconds = statistics.median(run["seconds"] for run in of)
        spread = (max(cost) - min(cost)) / middle if middle else 0
        print(f"{what:12}{who:12}{statistics.median(lost) * 100:9.1f}%{seconds:7.2f} s{middle:12.2f}"
              f"{spread * 100:7.0f}%")
        summary.add({"summary": "neighbour", "what": what, "who": who, "slower": statistics.median(lost),
                     "seconds": seconds, "lost_s_per_gb": middle})


main()

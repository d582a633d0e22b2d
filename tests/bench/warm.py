#!/usr/bin/env python3
"""Launch times of jobs in alternating rounds: warm.py RESULTS BASE.

What counts is the median over the rounds of (this one - BASE in the same round): what the machine does
meanwhile hits both.
"""
import statistics
import sys

import summary


def main():
    results, base = sys.argv[1:]
    runs = {}
    for run in summary.read(results):
        if run.get("work") == "warm":
            runs.setdefault(run["who"], {})[run["round"]] = run["us"] / 1000
    if base not in runs:
        return
    rounds = len(runs[base])
    print(f"\nwarm (milliseconds of srun, {rounds} alternating rounds)")
    print(f"{'':24}{'median':>9}{'fastest':>9}{'slowest':>9}{'more than ' + base:>22}{'quartiles':>18}")
    for who, times in sorted(runs.items(), key=lambda item: item[0] != base):
        differences = [times[n] - runs[base][n] for n in times if n in runs[base]]
        low, middle, high = statistics.quantiles(differences, n=4)
        values = list(times.values())
        row = f"{who:24}{statistics.median(values):9.1f}{min(values):9.1f}{max(values):9.1f}"
        if who != base:
            row += f"{middle:22.1f}{f'{low:.1f} to {high:.1f}':>18}"
        print(row)
        summary.add({"summary": "warm", "who": who, "rounds": rounds,
                     "median_ms": statistics.median(values), "more_ms": middle,
                     "quartiles_ms": [low, high]})


main()

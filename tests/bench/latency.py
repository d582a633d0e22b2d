#!/usr/bin/env python3
"""A bench's JSON lines of latencies as a table: latency.py RESULTS WORK [BASE].

BASE is a kind of call (ping): the medians of the others are shown as multiples of it, row by row.
"""
import sys

import summary


def main():
    results, work, *base = sys.argv[1:]
    rows = {}
    for run in summary.read(results):
        if run.get("work") == work and "what" in run:
            rows.setdefault(run["who"], {})[run["what"]] = run
    if not rows:
        return
    print(f"\n{work} (microseconds)")
    print(f"{'':24}{'call':14}{'n':>7}{'p50':>10}{'p99':>10}{'max':>10}"
          + (f"{'x ' + base[0]:>9}" if base else ""))
    for who, calls in rows.items():
        for what, run in calls.items():
            row = (f"{who:24}{what:14}{run['n']:7}{run['p50_us']:10.1f}{run['p99_us']:10.1f}"
                   f"{run['max_us']:10.0f}")
            if base and what != base[0] and base[0] in calls:
                ratio = run["p50_us"] / calls[base[0]]["p50_us"]
                row += f"{ratio:9.2f}"
                run = run | {"ratios": {base[0]: ratio}}
            print(row)
            summary.add({"summary": work, **run})


main()

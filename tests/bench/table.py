#!/usr/bin/env python3
"""Medians of a bench's JSON lines as a table: table.py RESULTS WORK BASE..."""
import json
import statistics
import sys


def main():
    results, work, *bases = sys.argv[1:]
    runs = {}
    with open(results, encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            if run["work"] == work:
                runs.setdefault(run["who"], []).append(run)
    if not runs:
        return
    median = {who: {key: statistics.median(run[key] for run in of)
                    for key in ("bytes", "seconds", "durable_s", "cpu_s")}
              for who, of in runs.items()}
    rounds = max(len(of) for of in runs.values())
    print(f"\n{work} (median of {rounds}; durable = until syncfs returned; ratios of durable speed)")
    head = f"{'':16}{'seconds':>9}{'durable':>9}{'MB/s':>8}{'CPU s/GB':>10}{'spread':>8}"
    print(head + "".join(f"{'x ' + base:>12}" for base in bases))
    for who, of in median.items():
        times = [run["durable_s"] for run in runs[who]]
        row = (f"{who:16}{of['seconds']:9.2f}{of['durable_s']:9.2f}"
               f"{of['bytes'] / of['durable_s'] / 1e6:8.0f}"
               f"{of['cpu_s'] / of['bytes'] * 1e9:10.3f}"
               f"{(max(times) - min(times)) / of['durable_s'] * 100:7.0f}%")
        for base in bases:
            if base in median:
                row += f"{median[base]['durable_s'] / of['durable_s']:12.2f}"
        print(row)
        print(json.dumps({"summary": work, "who": who, "rounds": len(times), **of,
                          "ratios": {base: median[base]["durable_s"] / of["durable_s"]
                                     for base in bases if base in median}}),
              file=sys.stderr)


main()

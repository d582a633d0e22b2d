#!/usr/bin/env python3
"""What a daemon read and wrote, as shares of the dataset: counted.py RESULTS WORK"""
import statistics
import sys

import summary


def main():
    results, work = sys.argv[1:]
    runs = {}
    for run in summary.read(results):
        if run.get("work") == work and "origin_bytes" in run:
            runs.setdefault(run["who"], []).append(run)
    if not runs:
        return
    print(f"\n{'':16}{'read from the origin':>22}{'written to the disk':>22}   (of the dataset's bytes)")
    for who, of in runs.items():
        share = {key: statistics.median(run[key] / run["bytes"] for run in of)
                 for key in ("origin_bytes", "written_bytes")}
        print(f"{who:16}{share['origin_bytes'] * 100:21.1f}%{share['written_bytes'] * 100:21.1f}%")
        summary.add({"summary": work + "-bytes", "who": who, **share})


main()

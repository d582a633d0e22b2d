#!/usr/bin/env python3
"""Medians of a bench's JSON lines as a table: table.py RESULTS WORK BASE... or table.py --facts RESULTS"""
import statistics
import sys

import summary


def print_facts(results):
    facts = summary.read(results)[0]["facts"]
    print(f"{facts['cpus']} x {facts['cpu']}, {facts['memory_mb']} MB, Linux {facts['kernel']}, "
          f"{facts['fs']} on {facts['device']}; {facts['commit']}, {facts['date']}, "
          f"scale {facts['scale']}, load {facts['load']:.1f}")


def main():
    if sys.argv[1] == "--facts":
        print_facts(sys.argv[2])
        return
    results, work, *bases = sys.argv[1:]
    runs = {}
    for run in summary.read(results):
        if run.get("work") == work:
            runs.setdefault(run["who"], []).append(run)
    if not runs:
        return
    keys = ("bytes", "seconds", "durable_s", "cpu_s")
    median = {who: {key: statistics.median(run[key] for run in of) for key in keys}
              for who, of in runs.items()}
    rounds = max(len(of) for of in runs.values())
    print(f"\n{work} (median of {rounds}; durable = until syncfs returned; ratios of durable speed)")
    head = f"{'':16}{'seconds':>9}{'durable':>9}{'MB/s':>8}{'CPU s/GB':>10}{'spread':>8}"
    print(head + "".join(f"{' x ' + base:>14}" for base in bases))
    for who, of in median.items():
        times = [run["durable_s"] for run in runs[who]]
        spread = (max(times) - min(times)) / of["durable_s"]
        row = (f"{who:16}{of['seconds']:9.2f}{of['durable_s']:9.2f}"
               f"{of['bytes'] / of['durable_s'] / 1e6:8.0f}"
               f"{of['cpu_s'] / of['bytes'] * 1e9:10.3f}{spread * 100:7.0f}%")
        ratios = {base: median[base]["durable_s"] / of["durable_s"]
                  for base in bases if base in median}
        print(row + "".join(f"{ratios[base]:14.2f}" if base in ratios else f"{'-':>14}"
                            for base in bases))
        peak = max(run.get("peak_kb", 0) for run in runs[who]) / 1024
        summary.add({"summary": work, "who": who, "rounds": len(times), "spread": spread, "peak_mb": peak, **of,
                     "cpu_s_per_gb": of["cpu_s"] / of["bytes"] * 1e9, "ratios": ratios})


main()

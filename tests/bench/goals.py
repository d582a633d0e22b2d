#!/usr/bin/env python3
"""What the project wants of a bench, beside what the last run reached: goals.py SUMMARY [--json]

A row: work, words, how to find the figure, the goal, and whether more or less is better.
"""
import json
import sys

import summary


def ratio(work, base, who="larder"):
    return lambda rows: next((row["ratios"][base] for row in rows if row.get("summary") == work
                              and row["who"] == who and base in row.get("ratios", {})), None)


def field(work, key, **match):
    return lambda rows: next((row[key] for row in rows if row.get("summary") == work and key in row
                              and all(row.get(k) == v for k, v in match.items())), None)


def times_ping(rows):
    found = [row["ratios"]["ping"] for row in rows if row.get("summary") == "acquire"
             and row.get("what") == "acquire" and "ratios" in row and "staging" not in row["who"]]
    return max(found, default=None)


def worst_while_staging(rows):
    found = [row["p99_us"] / 1000 for row in rows if row.get("summary") == "acquire"
             and row.get("what") == "acquire" and "staging" in row["who"]]
    return max(found, default=None)


def p50_many_to_one(rows):
    p50 = [row["p50_us"] for row in rows if row.get("summary") == "acquire"
           and row.get("what") == "acquire" and "shard" in row["who"]]
    return max(p50) / min(p50) if len(p50) > 1 else None


def sim(field_name, **match):
    return field("fleet-sim", field_name, nodes=64, capacity=4 << 40, policy="gdsf", **match)


def random_to_affinity(rows):
    found = [sim("missed", placement=where)(rows) for where in ("random", "affinity")]
    return found[0] / found[1] if all(found) else None


GOALS = (
    ("large-other", "x cp -r", ratio("large-other", "cp-r"), 1.5, "more"),
    ("large-other", "x xargs -P4 cp", ratio("large-other", "xargs-cp"), 1.25, "more"),
    ("large-other", "sync engine's time / io_uring's", ratio("large-other", "larder-sync"), 1.3, "less"),
    ("large-other", "x fio's direct write", ratio("large-other", "fio-write"), 0.9, "more"),
    ("large-other", "CPU s/GB", field("large-other", "cpu_s_per_gb", who="larder"), 0.15, "less"),
    ("large-same", "x cp -r", ratio("large-same", "cp-r"), 1.4, "more"),
    ("large-same", "x xargs -P4 cp", ratio("large-same", "xargs-cp"), 1.05, "more"),
    ("large-same", "sync engine's time / io_uring's", ratio("large-same", "larder-sync"), 1.3, "less"),
    ("small", "x cp -r", ratio("small", "cp-r"), 3, "more"),
    ("small", "x xargs -P4 cp", ratio("small", "xargs-cp"), 1.5, "more"),
    ("small", "sync engine's time / io_uring's", ratio("small", "larder-sync"), 1.3, "less"),
    ("http-large", "x curl -Z", ratio("http-large", "curl-Z"), 3, "more"),
    ("http-large", "x rclone copy", ratio("http-large", "rclone"), 1.5, "more"),
    ("http-large", "memory, MB", field("http-large", "peak_mb", who="larder"), 64, "less"),
    ("http-small", "x curl -Z", ratio("http-small", "curl-Z"), 1.5, "more"),
    ("scan-small", "x xxh128sum", ratio("scan-small", "xxh128sum"), 4, "more"),
    ("scan-large", "x cat (read speed)", ratio("scan-large", "cat"), 1, "more"),
    ("delta", "x a cold copy (cp -r)", ratio("delta", "cp-r"), 15, "more"),
    ("acquire", "p50 / PING's", times_ping, 2, "less"),
    ("acquire", "p99 ms beside staging", worst_while_staging, 5, "less"),
    ("acquire", "p50, slowest / fastest of shard counts", p50_many_to_one, 1.1, "less"),
    ("warm", "ms more than without plugin", field("warm", "more_ms", who="warm dataset"), 10, "less"),
    ("fleet", "s for the first inventory of 1,000 nodes", field("fleet", "full_s", nodes=1000), 2, "less"),
    ("fleet", "s for a round in which nothing changed", field("fleet", "idle_s", nodes=1000), 0.5, "less"),
    ("fleet", "MB of larder-sched", field("fleet", "memory_mb", nodes=1000), 256, "less"),
    ("fleet-sim", "% of jobs that miss, with affinity", sim("missed", placement="affinity"), 20, "less"),
    ("fleet-sim", "misses at random / with affinity", random_to_affinity, 4, "more"),
)


def scale_rows(rows):
    """The steps of the bench scale bring their goals along; "-" is none."""
    for row in rows:
        for key, goal, unit in (("ms", "goal_ms", "ms"), ("daemon_mb", "goal_mb", "MB of larderd")):
            if row.get("summary") == "scale" and row[goal] != "-":
                yield {"work": "scale", "words": f"{row['who'][:26]}, {unit}", "value": row[key],
                       "goal": float(row[goal]), "better": "less", "met": row[key] <= float(row[goal])}


def reached(rows):
    """The goals of which the run has the figure."""
    yield from scale_rows(rows)
    for work, words, find, goal, better in GOALS:
        value = find(rows)
        if value is not None:
            yield {"work": work, "words": words, "value": value, "goal": goal, "better": better,
                   "met": value >= goal if better == "more" else value <= goal}


def main():
    rows = list(reached(summary.read(sys.argv[1])))
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    if rows:
        print(f"\ngoals{'':49}{'reached':>10}{'goal':>10}")
    for row in rows:
        sign = "≥" if row["better"] == "more" else "≤"
        goal = f"{sign} {row['goal']:g}"
        print(f"{row['work']:14}{row['words']:40}{row['value']:10.2f}{goal:>10}"
              f"  {'met' if row['met'] else 'not met'}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The last run of the benches as a page with plots: report.py DIRECTORY-OF-THE-RESULTS. Needs gnuplot.

Reads results.jsonl and summary.jsonl, writes report.html beside them and prints its path. Every
number comes from these two files; what was not run is not on the page.
"""
import html
import os
import subprocess
import sys

import summary

STYLE = """body { font: 15px sans-serif; max-width: 60em; margin: 2em auto; }
table { border-collapse: collapse; } td, th { padding: .2em .8em; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f3f3f3; }"""


def plot(title, axis, names, values):
    """Bars as SVG, one colour for us and one for the others."""
    rows = "\n".join(f'{i} {value} {1 if name.startswith("larder") else 2} "{name}"'
                     for i, (name, value) in enumerate(zip(names, values)))
    script = f"""set terminal svg size {120 + 90 * len(names)},320 font 'sans-serif,12'
set title "{title}" noenhanced
set ylabel "{axis}"
set yrange [0:*]
set boxwidth 0.7
set style fill solid 0.8
set key off
set xtics rotate by -30 noenhanced
set linetype 1 lc rgb '#2a6fb0'
set linetype 2 lc rgb '#b0b0b0'
$rows << end
{rows}
end
plot [-0.6:{len(names) - 0.4}] $rows using 1:2:3:xtic(4) with boxes linecolor variable
"""
    made = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, check=True)
    return made.stdout[made.stdout.index("<svg"):]


def cells(row, tag="td"):
    return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row) + "</tr>"


def staging(work, rows):
    """One table and two plots for what moves bytes."""
    names = [row["who"] for row in rows]
    rates = [row["bytes"] / row["durable_s"] / 1e6 for row in rows]
    cpu = [row["cpu_s_per_gb"] for row in rows]
    bases = sorted({base for row in rows for base in row["ratios"]})
    lines = [cells(["", "durable MB/s", "CPU s/GB", "spread"] + [f"× {b}" for b in bases], "th")]
    for row, rate in zip(rows, rates):
        ratios = [f"{row['ratios'][b]:.2f}" if b in row["ratios"] else "" for b in bases]
        lines.append(cells([row["who"], f"{rate:.0f}", f"{row['cpu_s_per_gb']:.3f}",
                            f"{row['spread'] * 100:.0f} %"] + ratios))
    return (f"<h2>{html.escape(work)}</h2><p>medians of {rows[0]['rounds']} alternating rounds</p>"
            f"<table>{''.join(lines)}</table>"
            f"{plot(work + ': speed', 'MB/s, durable', names, rates)}"
            f"{plot(work + ': CPU', 'CPU seconds a GB', names, cpu)}")


def other(row):
    """What has no rows of bytes is shown as it was written."""
    return cells([row["summary"], ", ".join(f"{key} {value:.4g}" if isinstance(value, float)
                                            else f"{key} {value}"
                                            for key, value in row.items() if key != "summary")])


def main():
    where = sys.argv[1]
    path = os.path.join(where, "summary.jsonl")
    if not os.path.exists(path):
        sys.exit(f"{path} is not there: run make bench first")
    facts, *rows = summary.read(path)
    works, others = {}, []
    for row in rows:
        if "ratios" in row and row.get("bytes"):
            works.setdefault(row["summary"], []).append(row)
        elif "summary" in row:
            others.append(row)
    page = [f"<!doctype html><meta charset=utf-8><title>Larder's benches</title><style>{STYLE}</style>",
            "<h1>Larder's benches</h1><table>",
            *[cells(item) for item in facts["facts"].items()], "</table>",
            *[staging(work, of) for work, of in works.items()]]
    if others:
        page += ["<h2>Others</h2><table>", *[other(row) for row in others], "</table>"]
    report = os.path.join(where, "report.html")
    with open(report, "w", encoding="utf-8") as out:
        out.write("\n".join(page) + "\n")
    print(report)


main()

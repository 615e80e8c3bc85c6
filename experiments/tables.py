"""What the tables of run_short.sh and of the sweeps are made of: metrics of finished runs, as Markdown."""

import json
import os
import statistics


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def runs_of(place):
    """The metrics of the run in folder `place`, or those of each of its seeds; none before it is finished."""
    if not os.path.exists(f"{place}/metrics.json"):
        return []
    metrics = read(f"{place}/metrics.json")
    if "runs" not in metrics:
        return [metrics]
    return [read(f"{place}/{run['folder']}/metrics.json") for run in metrics["runs"]]


def diverged(runs):
    return any(run["result"].get("status") == "diverged" for run in runs)


def cell(values, form, factor=1, unit=""):
    """Their mean, and behind +- their deviation where there are several."""
    if None in values:
        return "-"
    text = format(factor * statistics.mean(values), form)
    if len(values) > 1:
        text += f" +- {factor * statistics.stdev(values):{form}}"
    return text + unit


def percent(values):
    return cell(values, ".2f", 100, " %")


def print_table(title, head, rows):
    print(f"\n{title}\n")
    for row in [head, ["---"] * len(head), *rows]:
        print("| " + " | ".join(row) + " |")

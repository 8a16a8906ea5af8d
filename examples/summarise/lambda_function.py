"""Summarises one measure of Seattle's daily weather, 2012 to 2015, by month, by year or by kind of weather."""

import csv
import pathlib
from collections import defaultdict

MEASURES = ("precipitation", "temp_max", "temp_min", "wind")
GROUPS = {
    "year": lambda day: day["date"][:4],
    "month": lambda day: day["date"][5:7],
    "weather": lambda day: day["weather"],
}

# Read once for each execution environment, not for each invocation.
with (pathlib.Path(__file__).parent / "seattle-weather.csv").open(newline="") as file:
    DAYS = list(csv.DictReader(file))


def lambda_handler(event, context):
    """event: {"by": "year" | "month" | "weather", "measure": one of MEASURES}"""
    by = event.get("by", "year")
    measure = event.get("measure", "precipitation")
    if by not in GROUPS or measure not in MEASURES:
        raise ValueError(f"by: one of {', '.join(GROUPS)}; measure: one of {', '.join(MEASURES)}")
    values = defaultdict(list)
    for day in DAYS:
        values[GROUPS[by](day)].append(float(day[measure]))
    print(f"{measure} of {len(DAYS)} days by {by}")
    return {
        "days": len(DAYS),
        "by": by,
        "measure": measure,
        "groups": {name: summary(group) for name, group in sorted(values.items())},
    }


def summary(values):
    return {
        "days": len(values),
        "lowest": min(values),
        "mean": round(sum(values) / len(values), 2),
        "highest": max(values),
    }

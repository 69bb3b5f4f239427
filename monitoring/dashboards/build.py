"""Dashboards for Grafana, as the JSON that its provisioning takes: ``python -m monitoring.dashboards.build``.

One file a dashboard beside this module; a test says where they differ from what `panels` would make.
"""

import json
import sys
from pathlib import Path
from typing import Any

from monitoring.dashboards.panels import ALL, Dashboard, Panel

FOLDER = Path(__file__).parent
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


def main() -> int:
    """Write every dashboard."""
    for dashboard in ALL:
        (FOLDER / file_of(dashboard)).write_text(as_json(dashboard), encoding="utf-8")
    return 0


def file_of(dashboard: Dashboard) -> str:
    """Return a dashboard's file name."""
    return f"{dashboard.uid}.json"


def as_json(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana reads it."""
    choice = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    content = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["quillflow"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [choice]},
        "panels": _placed(dashboard.panels),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Return panels from left to right, row by row."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > 24:
            x, y = 0, y + HEIGHT
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": HEIGHT}))
        x += panel.width
    return placed


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": panel.kind != "timeseries",
            "range": panel.kind == "timeseries",
        }
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "gridPos": place,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


if __name__ == "__main__":
    sys.exit(main())

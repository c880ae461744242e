"""The files for Prometheus, Grafana and a collector: valid, and of metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from opentelemetry.metrics import Histogram, NoOpMeter

from pgstead.agent import sampling
from pgstead.app.telemetry.exposition import name_of
from pgstead.app.telemetry.instruments import Instruments
from pgstead.host import vitals
from pgstead.model.design import Design
from pgstead.observe import metric_files, pooler_metrics, telemetry
from pgstead.render.grafana import dashboard
from pgstead.render.scraping import collector, prometheus
from tests.unit.design.world import composed, text

SERVICE = """
[databases.service]
application = "shop.api:create_app"
port = {port}
"""
SECOND = """
[[databases]]
name = "stock"
[databases.service]
application = "stock.api:create_app"
port = 5212
"""
# What the service adds to the samples (app/telemetry/exposition.py).
OF_THE_SERVICE = {"pgstead_check_level", "pgstead_sample_age_seconds"}
NAME = re.compile(r"\b(?:pg|pgbouncer|pgstead|db_client)_[a-z0-9_]+")
LEGEND = re.compile(r"\{\{(\w+)\}\}")


class _Named(NoOpMeter):
    """Remembers the histograms that were made."""

    def __init__(self) -> None:
        super().__init__("test")
        self.names: set[str] = set()

    def create_histogram(self, name: str, unit: str = "", *_: Any, **__: Any) -> Histogram:
        plain = name_of(name, unit, counts=False)
        self.names |= {f"{plain}_{part}" for part in ("bucket", "sum", "count")}
        return super().create_histogram(name, unit)


def catalogue() -> dict[str, set[str]]:
    """Return every metric that is measured somewhere, with its labels."""
    queries = [m for q in metric_files.everything() for m in q.metrics]
    others = (*telemetry.OWN, *sampling.OWN, *vitals.METRICS, *pooler_metrics.METRICS)
    found = {m.name: set(m.attributes) for m in (*queries, *others)}
    meter = _Named()
    Instruments(meter, "shop")
    return found | {n: {"le"} for n in meter.names} | {n: {"check"} for n in OF_THE_SERVICE}


@pytest.fixture
def design() -> Design:
    return composed(text(database=SERVICE.format(port=5211), more=SECOND))


def targets(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in told["panels"]:
        yield from panel.get("targets", ())


def test_every_metric_of_the_grafana_dashboard_is_measured(design: Design) -> None:
    known = catalogue()
    named = {
        name for t in targets(json.loads(dashboard(design))) for name in NAME.findall(t["expr"])
    }
    assert len(named) > 30
    assert named <= known.keys(), sorted(named - known.keys())


def test_every_label_of_a_legend_is_one_of_its_metric(design: Design) -> None:
    known = catalogue()
    for target in targets(json.loads(dashboard(design))):
        labels = {label for name in NAME.findall(target["expr"]) for label in known[name]}
        assert set(LEGEND.findall(target["legendFormat"])) <= labels, target


def test_counters_are_rates_and_gauges_are_not(design: Design) -> None:
    for target in targets(json.loads(dashboard(design))):
        for name in NAME.findall(target["expr"]):
            counts = name.endswith(("_total", "_bucket", "_sum", "_count")) and (
                name.endswith("_total") or name.startswith("db_client")
            )
            assert counts == (f"rate({name}{{" in target["expr"]), target["expr"]


def test_panels_have_numbers_of_their_own_and_do_not_overlap(design: Design) -> None:
    panels = json.loads(dashboard(design))["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_scrapes_services_and_the_samples_of_the_stead_once(design: Design) -> None:
    told = yaml.safe_load(prometheus(design))
    first, others = told["scrape_configs"]
    assert first["static_configs"][0]["targets"] == ["127.0.0.1:5211"]
    assert (first["params"], others["params"]) == ({"only": ["all"]}, {"only": ["process"]})
    assert others["static_configs"][0]["labels"]["service"] == "stock"
    for job in told["scrape_configs"]:
        assert job["metrics_path"] == "/metrics"
        for entry in job["static_configs"]:
            assert not {t.rpartition(":")[2] for t in entry["targets"]} & {"5432", "6432"}


def test_a_collector_takes_otlp_where_it_is_sent_and_each_pipeline_is_whole(
    design: Design,
) -> None:
    told = yaml.safe_load(collector(design))
    protocols = told["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"]["endpoint"] == "127.0.0.1:4317"
    assert protocols["http"]["endpoint"] == "127.0.0.1:4318"
    for pipeline in told["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert pipeline[kind]
            assert set(pipeline[kind]) <= told[kind].keys()
    jobs = told["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert [job["params"] for job in jobs] == [{"only": ["stead"]}]


def test_a_collector_listens_on_the_port_of_the_manifest() -> None:
    more = '[telemetry.otlp]\nendpoint = "http://127.0.0.1:14318"\n'
    design = composed(text(database=SERVICE.format(port=5211), more=more))
    told = yaml.safe_load(collector(design))
    assert told["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "127.0.0.1:14318"


def test_a_name_with_quotes_stays_inside_of_its_quotes() -> None:
    odd = 'a "stead": #1'
    manifest = text(database=SERVICE.format(port=5211)).replace('"shop"', json.dumps(odd), 1)
    design = composed(manifest)
    assert yaml.safe_load(prometheus(design))["scrape_configs"][0]["job_name"] == f"pgstead-{odd}"
    assert json.loads(dashboard(design))["title"] == f"pgstead: {odd}"

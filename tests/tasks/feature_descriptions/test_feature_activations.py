"""Fifty activations of the shipped suite of features, computed again from the target alone."""

from __future__ import annotations

from features_again import derived

from introspect_bench.benchmark.backends.models.target_model import load_target_model
from introspect_bench.benchmark.models.fetch import prepare_target
from introspect_bench.benchmark.models.targets import resolve_target
from introspect_bench.benchmark.suite.select import shipped_suite

SUITE = "smollm2-135m"


def test_activations_come_from_the_target_alone() -> None:
    suite = shipped_suite(SUITE, "feature-descriptions")
    target = load_target_model(prepare_target(resolve_target(SUITE)))
    assert derived(suite, "test", target, n=50) == 50

"""Which access class a run has: where vectors enter, how replies are chosen, which baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from introspect_bench.baselines import BASELINES
from introspect_bench.benchmark.backends.injection.spec import Mode
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.evaluation.explainers import harness_access
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.records import ACCESS, RANKED, Query
from introspect_bench.benchmark.runs.header import widest

READS = {"embedding", "add", "replace", "own-layers"}
"""Modes that put a vector into a slot, where the explainer reads it as a token of its own."""


def query(**fields: Any) -> Query:
    return Query(id="0" * 16, group="1" * 16, kind="last-subject", fields=fields)


PATCHED = [query(text="The city of Ann is", position=3, layers=[0, 5])]
FEATURE = [query(layer=6)]


def local(**settings: Any) -> ExplainerCard:
    return ExplainerCard(name="model", kind="local", settings=settings)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_a_vector_at_the_token_it_is_about_is_the_intervention(mode: str) -> None:
    """In a slot it is read; at the token of the quoted text a copy of the target replays it."""
    said = local(injection={"mode": mode}, decoding="greedy")
    assert harness_access(said, PATCHED) == ("words" if mode in READS else "replays")
    assert harness_access(said, FEATURE) == "words"  # no token is named, so it enters in a slot


def test_decoding_by_comparison_replays() -> None:
    slot = {"injection": {"mode": "embedding"}}
    assert harness_access(local(**slot, decoding="compared"), PATCHED) == "replays"
    assert harness_access(local(**slot, decoding="whole-reply"), PATCHED) == "words"


def test_own_code_says_nothing_whatever_its_arguments_are() -> None:
    said = replace(local(injection={"mode": "embedding"}), kind="custom", name="py:a:B")
    assert harness_access(said, PATCHED) == "undeclared"
    assert ExplainerCard(name="py:a:B", kind="custom").access == "undeclared"


def test_every_baseline_has_a_class() -> None:
    found = {
        one.name: harness_access(ExplainerCard(name=f"baseline/{one.name}", kind=one.kind), PATCHED)
        for one in BASELINES
    }
    assert found == {spec.name: spec.access for spec in BASELINES}
    assert found["unchanged"] == "runs-target"
    assert found["source-oracle"] == found["reference-description"] == "oracle"
    told = {spec.name for spec in BASELINES if "oracle" in spec.needs}
    assert {name for name, access in found.items() if access == "words"}.isdisjoint(told)
    quoted = local(injection={"mode": "quoted-token"})
    replayed = replace(quoted, name="baseline/zero-shot", kind="baseline")
    assert harness_access(replayed, PATCHED) == "replays"
    with pytest.raises(UsageError, match="unknown baseline"):
        harness_access(replace(replayed, name="baseline/best"), PATCHED)


def test_the_widest_class_of_several() -> None:
    assert widest(["words", "replays", "runs-target"]) == "replays"
    assert widest(reversed(ACCESS)) == "undeclared"
    assert ACCESS[:3] == RANKED

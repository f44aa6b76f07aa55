"""Baselines on small suites of known make: what they learn, and what they may open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import D_MODEL, make_model, make_tokenizer

from introspect_bench import baselines
from introspect_bench.baselines import BASELINES, find_baseline, make_baseline
from introspect_bench.baselines.input_only import ablation_features, patching_features
from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.explainer import Explainer
from introspect_bench.benchmark.freeze import Measured, write_manifest, write_split
from introspect_bench.benchmark.prompting import build_prompt, render_all
from introspect_bench.benchmark.records import SPLITS, Prompt, Query
from introspect_bench.benchmark.suite import Suite, open_suite
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.activation_patching.task import make_task as make_patching
from introspect_bench.tasks.input_ablations.task import make_task as make_ablations

PATCHING, ABLATIONS = make_patching(), make_ablations()
CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Quito")


def patched(
    number: int,
    *,
    clean: str,
    outcome: str,
    vector: Any,
    source: str = "Bern",
    kind: str = "last-subject",
    layers: tuple[int, int] = (0, 5),
    shown: str = "Lisbon",
) -> Measured:
    return Measured(
        kind=kind,
        fields={
            "text": f"The city of Ann is {shown}. The city of Bob {number} is",
            "position": 9,
            "n_tokens": 12,
            "token": " Bob",
            "layers": list(layers),
            "relation": "city",
        },
        clean=clean,
        outcome=outcome,
        clean_ids=[1],
        outcome_ids=[1] if clean == outcome else [2],
        margin=1.0,
        source=source,
        vector=np.asarray(vector, dtype=np.float16),
    )


def ablated(number: int, *, removed: str, clean: str, outcome: str, kind: str) -> Measured:
    question = f"Which letter is number {number}? "
    text = f"{question}{removed}"
    return Measured(
        kind=kind,
        fields={
            "text": text,
            "chat": kind == "hint",
            "answer_prefix": "",
            "removed": removed,
            "span": [len(question), len(text)],
            "answer_form": "letter" if kind == "hint" else "text",
            "relation": "letters",
        },
        clean=clean,
        outcome=outcome,
        clean_ids=[1],
        outcome_ids=[1] if clean == outcome else [2],
        margin=1.0,
    )


def make_suite(
    root: Path, task: Task, splits: Mapping[str, Sequence[Measured]], target: str = "tiny"
) -> Suite:
    """A suite with one group for each query."""
    counts = {
        split: write_split(root / split, task.name, [[one] for one in splits[split]])
        for split in SPLITS
    }
    write_manifest(
        root,
        {
            "suite": "toy",
            "task": task.name,
            "version": task.version,
            "target": {"name": "tiny", "source": "local", "location": target},
            "splits": counts,
            "mini": [],
            "prompt_sha256": task.prompt_sha256,
        },
    )
    return open_suite(root)


def unit(index: int, size: float = 1.0) -> Any:
    return np.eye(D_MODEL)[index] * size


def patching_splits() -> dict[str, Sequence[Measured]]:
    """Early layers: the source's output comes out; late layers: nothing changes."""
    train, test = [], []
    for i in range(24):
        late = i % 2 == 1
        source = CITIES[i % 6]
        train.append(
            patched(
                i,
                clean="Kyoto",
                outcome="Kyoto" if late else source,
                source=source,
                vector=unit(i % 6, 2.0),
                layers=(24, 29) if late else (0, 5),
                kind="last" if late else "last-subject",
            )
        )
    for i in range(6):
        test.append(
            patched(
                100 + i,
                clean="Bonn",
                outcome=CITIES[i],
                source=CITIES[i],
                vector=unit(i) + 0.1,
            )
        )
        test.append(
            patched(
                200 + i,
                clean="Bonn",
                outcome="Bonn",
                source=CITIES[i],
                vector=unit(i) + 0.1,
                layers=(24, 29),
                kind="last",
            )
        )
    validation = [patched(300, clean="Bonn", outcome="Rome", vector=unit(1))]
    return {"train": train, "validation": validation, "test": test}


def ablation_splits() -> dict[str, Sequence[Measured]]:
    """A hint is always followed; without it the answer is A."""
    train, test = [], []
    for i in range(24):
        letter = "ABCD"[i % 4]
        hint = f"I think it is {letter}."
        train.append(ablated(i, removed=hint, clean=letter, outcome="A", kind="hint"))
        city = CITIES[i % 6]
        sentence = f"The city of Ann is {city}."
        train.append(ablated(i, removed=sentence, clean=city, outcome=city, kind="context"))
    for i in range(4):
        letter = "ABCD"[i]
        hint = f"I think it is {letter}."
        test.append(ablated(50 + i, removed=hint, clean=letter, outcome="A", kind="hint"))
        sentence = f"The city of Ann is {CITIES[i]}."
        test.append(
            ablated(60 + i, removed=sentence, clean=CITIES[i], outcome=CITIES[i], kind="context")
        )
    test.append(ablated(70, removed="Rome or Oslo?", clean="Rome", outcome="Oslo", kind="word"))
    validation = [ablated(80, removed="It is B.", clean="B", outcome="A", kind="hint")]
    return {"train": train, "validation": validation, "test": test}


@pytest.fixture
def patching_suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path / "patching", PATCHING, patching_splits())


@pytest.fixture
def ablation_suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path / "ablations", ABLATIONS, ablation_splits())


def prompts_of(task: Task, suite: Suite, split: str = "test") -> list[Prompt]:
    vectors = suite.vectors(split) if task.uses_vector else None
    return [build_prompt(q, vectors, ()) for q in render_all(task, suite.queries(split))]


def replies_of(explainer: Explainer, task: Task, suite: Suite) -> dict[str, str]:
    prompts = prompts_of(task, suite)
    replies = explainer.complete(prompts)
    assert all(isinstance(reply, str) for reply in replies)
    return {p.query.id: str(reply) for p, reply in zip(prompts, replies, strict=True)}


def exact(name: str, task: Task, suite: Suite, kind: str | None = None) -> float:
    """Share of test queries with verdict and content right."""
    explainer, _ = make_baseline(name, task=task, suite=suite, split="test")
    replies = replies_of(explainer, task, suite)
    truth = suite.truth("test")
    kinds = {query.id: query.kind for query in suite.queries("test")}
    right = [
        task.parse(reply) == truth[key].answer
        for key, reply in replies.items()
        if kind in (None, kinds[key])
    ]
    return sum(right) / len(right)


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make files of the suite unreadable."""
    read = Suite._read

    def refuse(self: Suite, name: str) -> bytes:
        assert name not in names, f"{name} was opened"
        return read(self, name)

    monkeypatch.setattr(Suite, "_read", refuse)


LEARNT = ("constant", "input-only", "nearest-neighbour", "unchanged", "source-oracle")
ABLATIONS_ONLY = ("rule-of-thumb",)


def test_the_list() -> None:
    assert {spec.name for spec in BASELINES} == {*LEARNT, *ABLATIONS_ONLY, "zero-shot", "few-shot"}
    assert {s.name for s in BASELINES if s.kind == "oracle"} == {"unchanged", "source-oracle"}
    for spec in BASELINES:
        assert ("oracle" in spec.needs) == (spec.kind == "oracle")
        assert find_baseline(spec.name) is spec
        assert spec.summary.endswith(".")
    assert find_baseline("few-shot").shots > 0 == find_baseline("zero-shot").shots
    with pytest.raises(UsageError, match=r"unknown baseline 'best'.*input-only"):
        find_baseline("best")


@pytest.mark.parametrize("name", LEARNT)
def test_what_is_opened_is_what_is_said(
    name: str, patching_suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_baseline(name)
    closed = ["test/truth.jsonl", "validation/truth.jsonl"]
    if "oracle" not in spec.needs:
        closed += ["test/oracle.jsonl", "train/oracle.jsonl"]
    if "train" not in spec.needs:
        closed += ["train/truth.jsonl", "train/queries.jsonl"]
    if "vectors" not in spec.needs:
        closed += ["train/vectors.safetensors", "test/vectors.safetensors"]
    queries = prompts_of(PATCHING, patching_suite)
    forbid(monkeypatch, *closed)
    explainer, card = make_baseline(name, task=PATCHING, suite=patching_suite, split="test")
    assert len(explainer.complete(queries)) == len(queries)
    assert (card.name, card.kind) == (f"baseline/{name}", spec.kind)


@pytest.mark.parametrize("name", LEARNT)
def test_answers_are_the_same_every_time_and_in_any_order(name: str, patching_suite: Suite) -> None:
    prompts = prompts_of(PATCHING, patching_suite)
    first, _ = make_baseline(name, task=PATCHING, suite=patching_suite, split="test")
    second, _ = make_baseline(name, task=PATCHING, suite=patching_suite, split="test")
    assert first.complete(prompts) == second.complete(prompts[::-1])[::-1]
    assert first.complete([]) == []


def test_constant_takes_the_commonest_full_answer(patching_suite: Suite) -> None:
    explainer, card = make_baseline("constant", task=PATCHING, suite=patching_suite, split="test")
    assert set(explainer.complete(prompts_of(PATCHING, patching_suite))) == {"unchanged: Kyoto"}
    assert card.settings == {"reply": "unchanged: Kyoto"}


def test_unchanged_repeats_what_it_is_told(patching_suite: Suite, ablation_suite: Suite) -> None:
    explainer, _ = make_baseline("unchanged", task=PATCHING, suite=patching_suite, split="test")
    assert set(explainer.complete(prompts_of(PATCHING, patching_suite))) == {"unchanged: Bonn"}
    assert exact("unchanged", PATCHING, patching_suite) == 0.5
    # hints: only the one for A is not followed to another letter; contexts never change
    assert exact("unchanged", ABLATIONS, ablation_suite, "hint") == 0.25
    assert exact("unchanged", ABLATIONS, ablation_suite, "context") == 1.0


def test_source_oracle_learns_where_the_source_comes_out(patching_suite: Suite) -> None:
    assert exact("source-oracle", PATCHING, patching_suite) == 1.0
    _, card = make_baseline("source-oracle", task=PATCHING, suite=patching_suite, split="test")
    assert card.settings == {"source_comes_out_in": ["last-subject 0-5"]}


def test_source_oracle_says_unchanged_where_both_outputs_are_equal(tmp_path: Path) -> None:
    splits = patching_splits()
    splits["test"] = [patched(1, clean="Bern", outcome="Bern", vector=unit(0))]
    suite = make_suite(tmp_path / "suite", PATCHING, splits)
    assert exact("source-oracle", PATCHING, suite) == 1.0


def test_source_oracle_needs_sources_and_patching(tmp_path: Path, ablation_suite: Suite) -> None:
    splits = patching_splits()
    one = splits["train"][0]
    splits["train"] = [Measured(**{n: getattr(one, n) for n in one.__slots__} | {"source": None})]
    suite = make_suite(tmp_path / "suite", PATCHING, splits)
    with pytest.raises(IntegrityError, match="source prompt's output is missing"):
        make_baseline("source-oracle", task=PATCHING, suite=suite, split="test")
    with pytest.raises(UsageError, match="answers activation-patching, not input-ablations"):
        make_baseline("source-oracle", task=ABLATIONS, suite=ablation_suite, split="test")


def test_nearest_neighbour_compares_direction_within_kind_and_layers(tmp_path: Path) -> None:
    train = [
        patched(1, clean="Kyoto", outcome="Rome", vector=unit(0)),
        patched(2, clean="Kyoto", outcome="Oslo", vector=unit(1, 50.0)),
        patched(3, clean="Kyoto", outcome="Lima", vector=unit(0), layers=(24, 29)),
        patched(4, clean="Kyoto", outcome="Cairo", vector=unit(0), kind="last"),
    ]
    # a long vector is not nearer: by dot product the second would win
    test = [
        patched(5, clean="Bonn", outcome="Rome", vector=unit(0) + 0.3 * unit(1)),
        patched(6, clean="Bonn", outcome="Lima", vector=unit(1), layers=(24, 29)),
        patched(7, clean="Bonn", outcome="Oslo", vector=unit(1), layers=(12, 17)),
    ]
    splits = {"train": train, "validation": train[:1], "test": test}
    assert exact("nearest-neighbour", PATCHING, make_suite(tmp_path, PATCHING, splits)) == 1.0


def test_nearest_neighbour_needs_vectors(patching_suite: Suite, ablation_suite: Suite) -> None:
    with pytest.raises(UsageError, match="compares vectors"):
        make_baseline(
            "nearest-neighbour",
            task=PATCHING,
            suite=patching_suite,
            split="test",
            use_vectors=False,
        )
    make_baseline(
        "nearest-neighbour", task=ABLATIONS, suite=ablation_suite, split="test", use_vectors=False
    )


def test_nearest_neighbour_reads_text_and_removed_part(ablation_suite: Suite) -> None:
    assert exact("nearest-neighbour", ABLATIONS, ablation_suite, "hint") == 1.0
    assert exact("nearest-neighbour", ABLATIONS, ablation_suite, "context") == 1.0
    assert exact("nearest-neighbour", ABLATIONS, ablation_suite, "word") in (0.0, 1.0)


def test_tf_idf_weights_are_those_of_scikit_learn(ablation_suite: Suite) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from introspect_bench.baselines.nearest_neighbour import learn_weights

    queries = ablation_suite.queries("train")
    texts = [f" {query.fields['text']} " for query in queries]
    theirs = TfidfVectorizer(analyzer="char", ngram_range=(3, 4), norm="l2").fit(texts)
    ours = learn_weights(queries)
    # the removed part lies within the text, so it adds no n-gram but those at its own ends
    shared = [gram for gram in theirs.get_feature_names_out() if gram in ours.index]
    assert len(shared) > 100
    rows = ours.rows(queries)[:, : len(ours.index)].toarray()
    kept = [ours.index[gram] for gram in shared]
    columns = [theirs.vocabulary_[gram] for gram in shared]
    np.testing.assert_allclose(
        rows[:, kept], theirs.transform(texts).toarray()[:, columns], atol=1e-5
    )


def test_input_only_learns_cells_and_back_off(patching_suite: Suite, ablation_suite: Suite) -> None:
    # late layers never change, but the constant's content is another query's
    explainer, card = make_baseline("input-only", task=PATCHING, suite=patching_suite, split="test")
    replies = replies_of(explainer, PATCHING, patching_suite)
    kinds = {query.id: query.kind for query in patching_suite.queries("test")}
    late = {reply for key, reply in replies.items() if kinds[key] == "last"}
    assert late == {"unchanged: Kyoto"}
    assert any("layers" in names for names in card.settings["features"])
    assert exact("rule-of-thumb", ABLATIONS, ablation_suite, "hint") == 1.0


def test_input_only_carries_what_is_stated_to_new_texts(tmp_path: Path) -> None:
    """The outcome is always the sentence's own city; the cities of the test are new."""
    splits: dict[str, Sequence[Measured]] = {
        split: [
            ablated(
                i,
                removed=f"The city of Ann is {name}{i}.",
                clean="Bern",
                outcome=f"{name}{i}",
                kind="context",
            )
            for i in range(10)
        ]
        for split, name in (("train", "Aa"), ("validation", "Bb"), ("test", "Cc"))
    }
    suite = make_suite(tmp_path, ABLATIONS, splits)
    assert exact("rule-of-thumb", ABLATIONS, suite) == 1.0
    assert exact("constant", ABLATIONS, suite) == 0.0


def test_input_only_never_looks_at_vectors(patching_suite: Suite) -> None:
    explainer, _ = make_baseline("input-only", task=PATCHING, suite=patching_suite, split="test")
    blind = [
        build_prompt(question, None, ())
        for question in render_all(PATCHING, patching_suite.queries("test"))
    ]
    assert explainer.complete(blind) == explainer.complete(prompts_of(PATCHING, patching_suite))


def features(task: Task, one: Measured) -> Any:
    query = Query(id="0" * 16, group="0" * 16, kind=one.kind, fields=one.fields)
    return (patching_features if task is PATCHING else ablation_features)(query)


def test_features_of_a_patching_query() -> None:
    one = patched(1, clean="a", outcome="a", vector=unit(0), shown="St. John's")
    assert features(PATCHING, one) == {
        "relation": "city",
        "kind": "last-subject",
        "layers": "0-5",
        "stated": "St. John's",
    }


@pytest.mark.parametrize(
    ("removed", "letter", "mention", "stated"),
    [
        ("I think it is B.", "B", "none", "B"),
        ("The city of Ann is New York City.", "", "none", "New York City"),
        ("The color of Which is blue.", "", "all", "blue"),
    ],
)
def test_features_of_an_ablation_query(
    removed: str, letter: str, mention: str, stated: str
) -> None:
    found = features(ABLATIONS, ablated(1, removed=removed, clean="a", outcome="a", kind="context"))
    assert (found["letter"], found["mention"], found["stated"]) == (letter, mention, stated)


def test_an_empty_training_split_is_refused(tmp_path: Path) -> None:
    splits = patching_splits() | {"train": []}
    suite = make_suite(tmp_path, PATCHING, splits)
    with pytest.raises(UsageError, match="training split is empty"):
        make_baseline("constant", task=PATCHING, suite=suite, split="test")


@pytest.mark.parametrize("name", ["zero-shot", "few-shot"])
def test_the_untrained_target_explains_itself(name: str, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer).save_pretrained(tmp_path / "target")
    tokenizer.save_pretrained(tmp_path / "target")
    suite = make_suite(
        tmp_path / "suite", PATCHING, patching_splits(), target=str(tmp_path / "target")
    )
    injection = Injection(mode="add", layer=1)
    explainer, card = make_baseline(
        name, task=PATCHING, suite=suite, split="test", injection=injection, batch_size=3
    )
    assert (card.name, card.kind) == (f"baseline/{name}", "baseline")
    assert list(card.weights_sha256) == ["model.safetensors"]
    assert card.settings["injection"]["layer"] == 1
    assert card.settings["batch_size"] == 3
    # all templates in one call do not share instructions; the runner asks template by template
    prompts = [p for p in prompts_of(PATCHING, suite) if p.template == f"{PATCHING.name}/1"]
    assert len(explainer.complete(prompts)) == len(prompts) > 0


def test_listing_baselines_imports_nothing_heavy() -> None:
    code = (
        f"import sys, {baselines.__name__}\n"
        "assert not {'torch', 'transformers', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

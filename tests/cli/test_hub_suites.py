"""Suites as dataset repositories, written and read back through a hub on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import constants, parse_eval_result_entries
from program import ABLATIONS, CONSTANT, PATCHING, Call, refused, succeeded, the_sentence
from tiny_features import NAME as FEATURES
from tiny_features import make_feature_suite
from tiny_hub import TOKEN, Hub, files_below, hub

import introspect_bench as ib
from introspect_bench.benchmark.files import read_json
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import write_manifest
from introspect_bench.benchmark.suite.manifest import MANIFEST
from introspect_bench.benchmark.suite.select import find_suite

assert hub  # a fixture
TASKS = (FEATURES, PATCHING, ABLATIONS)
NOBODY = "0" * 40
EXPORT = ("data", "export", "--to", "hf", "repository", "--suite", "toy")


@pytest.fixture
def whole(here: Path) -> Path:
    """The toy suites with one of descriptions."""
    make_feature_suite(here / "toy" / FEATURES / "v2")
    return here / "toy"


@pytest.fixture
def pushed(whole: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> str:
    """Those, uploaded: what `--suite` takes."""
    assert hub.asked == []
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    made = ib.data_export("repository", suite=str(whole), push="org/toy")
    return str(made["suite"])


@pytest.mark.usefixtures("whole")
def test_load_dataset_reads_every_task_and_split_without_a_hub(call: Call) -> None:
    code, out, err = call(*EXPORT)
    assert (code, out) == (0, "repository\n"), err
    assert datasets.get_dataset_config_names("repository") == list(TASKS)
    datasets.disable_progress_bars()
    for name in TASKS:
        found = datasets.load_dataset("repository", name, cache_dir="cache")
        task, suite = get_task(name), find_suite("toy", name)
        assert list(found) == ["train", "validation", "test"]
        for split in found:
            queries, answers = suite.queries(split), suite.answers(split)
            own = found[split]
            assert own["id"][:] == [query.id for query in queries]
            assert own["question"][:] == [task.render(query).question for query in queries]
            assert own["answer"][:] == [task.format_answer(answers[q.id]) for q in queries]
            assert ("vector" in own.column_names) == task.uses_vector
            for row, query in zip(own, queries, strict=True):
                said = {k: v for k, v in row["fields"].items() if v is not None}
                assert said == query.fields
                if query.vector is not None:
                    ours = suite.vectors(split)[query.vector].astype(np.float32)
                    assert row["vector"] == ours.tolist()
        if task.uses_vector:
            width = len(suite.vectors("train")[0])
            assert own.features["vector"] == datasets.List(datasets.Value("float32"), width)


def test_the_card_says_what_is_there_and_that_truth_is() -> None:
    ib.data_export("repository", suite="toy", tasks=[PATCHING])
    text = Path("repository/README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    (config,) = front["configs"]
    assert config["config_name"] == PATCHING
    assert [file["split"] for file in config["data_files"]] == ["train", "validation", "test"]
    assert all((Path("repository") / file["path"]).is_file() for file in config["data_files"])
    assert "license" not in front  # of a suite that others made
    assert f"| {PATCHING} | v2 | test | 12 | yes |" in text
    assert find_suite("toy", PATCHING).data_sha256 in text
    assert not Path("repository", ABLATIONS).exists()


def test_a_split_whose_truth_is_not_in_the_suite_has_none_and_says_so() -> None:
    root = Path("toy", PATCHING, "v2")
    for part in ("truth", "oracle"):
        (root / "test" / f"{part}.jsonl").unlink()
    computed = ("schema", "files", "data_sha256", "canary")
    write_manifest(root, {k: v for k, v in read_json(root / MANIFEST).items() if k not in computed})
    ib.data_export("repository", suite="toy", tasks=[PATCHING])
    text = Path("repository/README.md").read_text()
    assert f"| {PATCHING} | v2 | test | 12 | no |" in text
    for split, known in (("test", False), ("validation", True)):
        (path,) = Path("repository/data", PATCHING).glob(f"{split}-*")
        rows = pq.read_table(path).to_pylist()
        assert {row["outcome"] is not None for row in rows} == {known}
        assert all(len(row["vector"]) == 4 for row in rows)


def test_the_folder_is_what_suite_takes_and_nothing_is_overwritten(call: Call, hub: Hub) -> None:
    assert call(*EXPORT)[0] == 0
    for name in (PATCHING, ABLATIONS):
        version = get_task(name).version
        assert files_below(Path("repository", name, version)) == files_below(
            Path("toy", name, version)
        )
    assert "repository is there already" in refused(call(*EXPORT), 2, out="")
    assert hub.asked == []  # without --push nothing is


def test_what_is_pushed_is_read_back_byte_by_byte(pushed: str, hub: Hub) -> None:
    name, _, commit = pushed.partition("@")
    assert (name, commit) == ("org/toy", hub.main["datasets/org/toy"])
    assert hub.commits["datasets/org/toy"][commit] == files_below(Path("repository"))
    (created,) = hub.created
    assert created["visibility"] == "private"
    shutil.rmtree("repository")
    hub.asked.clear()
    for task in TASKS:
        found = find_suite(pushed, task)
        assert found.data_sha256 == find_suite("toy", task).data_sha256
        version = get_task(task).version
        assert files_below(found.root) == files_below(Path("toy", task, version))
        found.verify()
    fetched = {path for _, path, _, _ in hub.asked}
    assert not [path for path in fetched if path.endswith((".parquet", ".md"))]
    assert {token for _, _, token, _ in hub.asked} == {f"Bearer {TOKEN}"}


def test_every_verb_takes_it_and_no_file_holds_the_token(
    pushed: str, hub: Hub, call: Call, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = call(*CONSTANT, "--suite", pushed, "-t", PATCHING, "-t", ABLATIONS)
    assert code == 0, err
    assert "balanced" in out  # it was scored
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    runs = [str(path) for path in sorted(Path("runs").glob("*.jsonl"))]
    same = ib.score(runs[0], suite="toy")
    assert ib.score(runs[0], suite=pushed) == same
    for words in (
        ("score", "--check", *runs, "--suite", pushed),
        ("show", runs[0], "--suite", pushed),
        ("ls", "suites", "--suite", pushed),
        ("data", "verify", "--suite", pushed),
        ("export", runs[0], "--to", "csv", "--suite", pushed),
    ):
        succeeded(call(*words))
    assert hub.asked == []  # it is in the cache, and a commit never changes
    written = [p for p in here.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert written == []


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        (f"org/gated@{NOBODY}", 3, "accept its terms at https://huggingface.co/datasets/org/gated"),
        (f"org/private@{NOBODY}", 3, "so it is private or misspelt"),
        (f"org/misspelt@{NOBODY}", 3, "the hub has no such dataset"),
        (f"org/toy@{NOBODY}", 3, f"it has no revision '{NOBODY}'"),
        ("org/toy@main", 2, "is not pinned: give the commit, as in org/toy@<40 hex digits>"),
        ("org/toy", 2, "unknown suite 'org/toy'"),
    ],
)
def test_each_refusal_is_told_apart(hub: Hub, call: Call, name: str, code: int, said: str) -> None:
    hub.put("datasets/org/toy", {"README.md": b"toy"})
    assert said in refused(call(*CONSTANT, "--suite", name), code, out="")
    assert (hub.asked == []) == (code == 2)


def toy_at(hub: Hub, **changes: bytes) -> str:
    """A repository with the files of the toy suite and nothing else."""
    commit = hub.put("datasets/org/toy", files_below(Path("toy")) | changes)
    return f"org/toy@{commit}"


def test_a_busy_hub_is_asked_again_and_a_cut_download_goes_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 8)
    name = toy_at(hub)
    hub.failures["datasets/org/toy"] = 2
    hub.cuts["vectors.safetensors"] = 2
    found = find_suite(name, PATCHING)
    found.verify()
    assert hub.failures["datasets/org/toy"] == hub.cuts["vectors.safetensors"] == 0
    spans = [span for _, _, _, span in hub.asked if span]
    assert len(spans) == 2
    assert all(int(span.strip("bytes=-")) > 50 for span in spans)  # not from the start


def test_a_download_that_ends_for_good_goes_on_with_the_next_command(hub: Hub, call: Call) -> None:
    name = toy_at(hub)
    hub.cuts["vectors.safetensors"] = 10_000
    assert "cannot get 'org/toy', which needs a model hub" in refused(
        call(*CONSTANT, "--suite", name), 3
    )
    hub.cuts.clear()
    hub.asked.clear()
    assert call(*CONSTANT, "--suite", name, "--no-score")[0] == 0
    names = [path.rpartition("/")[2] for verb, path, _, _ in hub.asked if verb == "GET"]
    assert names.count("vectors.safetensors") == 3  # the rest was there


def test_without_a_hub_it_says_what_to_do(
    hub: Hub, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = toy_at(hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, err = call(*CONSTANT, "--suite", name)
    assert (code, hub.asked) == (3, [])
    assert "without one use a suite in a folder, or one that ships" in the_sentence(err)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({f"{PATCHING}/v2/test/truth.jsonl": b"{}\n"}, "truth.jsonl"),
        ({f"{PATCHING}/v2/manifest.json": b"{}"}, "manifest.json"),
    ],
)
def test_bytes_that_are_not_the_manifests_are_refused(
    hub: Hub, call: Call, here: Path, change: dict[str, bytes], said: str
) -> None:
    name = toy_at(hub, **change)
    assert said in refused(call(*CONSTANT, "--suite", name), 4)
    left = [path for path in (here / "own-cache").rglob("*") if path.name != f".{name}.lock"]
    assert not [path for path in left if path.suffix in (".jsonl", ".safetensors")]


def test_a_push_that_is_refused_keeps_the_folder(hub: Hub, call: Call) -> None:
    assert "the folder is whole and stays" in refused(
        call(
            *("data", "export", "--to", "hf", "repository", "--suite", "toy", "--push", "org/toy")
        ),
        3,
        out="",
    )
    assert Path("repository/README.md").is_file()
    assert hub.commits == {}


def test_a_result_names_the_suite_on_the_hub_in_the_hubs_own_types(hub: Hub, call: Call) -> None:
    name = toy_at(hub)
    assert call(*CONSTANT, "--suite", name, "-t", ABLATIONS)[0] == 0
    run = f"runs/baseline-constant.toy.{ABLATIONS}.test.jsonl"
    words = ("export", run, "--to", "hub-results")
    out = succeeded(call(*words, "--suite", name))
    (path,) = (p for p in Path(out.strip()).rglob("*") if p.is_file())
    assert path.parts[1:] == (".eval_results", f"org--toy.{ABLATIONS}.yaml")
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    result, header = ib.score(run, suite="toy"), ib.load(run).header
    assert (entry.dataset_id, entry.dataset_revision) == tuple(name.split("@"))
    assert (entry.task_id, entry.date) == (ABLATIONS, header.created)
    metric = result["overall"]["metrics"][result["headline"]]
    assert entry.value == metric["value"]
    assert entry.notes is not None
    for part in (result["headline"], result["body_sha256"], *map(str, metric["interval_95"])):
        assert part in entry.notes
    code, _, err = call(*words, "--suite", "toy", "-o", "other")
    assert code == 2
    assert "give --suite owner/name@commit" in the_sentence(err)
    for more, wanted in ((("--limit", "3"), 1), (("--split", "mini"), 2)):
        shutil.rmtree("runs")
        assert call(*CONSTANT, "--suite", name, "-t", ABLATIONS, "--no-score", *more)[0] == 0
        (other,) = Path("runs").glob("*.jsonl")
        code, _, err = call("export", str(other), "--to", "hub-results", "--suite", name, "-o", "x")
        assert code == wanted, err
        assert not Path("x").exists()


def test_json_says_where_it_is(call: Call) -> None:
    code, out, _ = call(*EXPORT, "--json")
    assert (code, json.loads(out)) == (0, {"path": "repository", "suite": "repository"})

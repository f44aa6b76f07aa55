"""Archives of sampled text: what comes out is what went in, and damage is seen."""

from pathlib import Path

import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.tasks.feature_descriptions.shipped_text import (
    FOLDER,
    pack_batches,
    unpack_batches,
)


def test_a_folder_comes_back_and_what_is_there_stays(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "000000-a.json").write_text('{"texts": ["é"]}')
    (old / "000001-b.json").write_text("{}")
    (new / "000001-b.json").write_text("mine")
    assert pack_batches(old, tmp_path / "one.gz") == 2
    assert pack_batches(old, tmp_path / "two.gz") == 2
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert pack_batches(old, tmp_path / "later.gz", numbers=range(1, 9)) == 1
    assert unpack_batches(tmp_path / "later.gz", tmp_path / "third") == 1
    assert [path.name for path in (tmp_path / "third").iterdir()] == ["000001-b.json"]
    assert unpack_batches(tmp_path / "one.gz", new) == 1
    assert (new / "000000-a.json").read_text() == '{"texts": ["é"]}'
    assert (new / "000001-b.json").read_text() == "mine"


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.gz").write_bytes(b"no archive")
    with pytest.raises(IntegrityError, match="not an archive"):
        unpack_batches(tmp_path / "one.gz", tmp_path)


def test_the_shipped_archive_can_be_unpacked(tmp_path: Path) -> None:
    assert unpack_batches(FOLDER / "smollm2-135m.jsonl.gz", tmp_path) >= 48

"""What null models see of vectors: components by block, distances, neighbours, the group's others.

Means, spreads and components are learnt on train, without labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .columns import BoolArray, Columns, FloatArray, IntArray, Texts, block, place, relation, texts

COMPONENTS = 64  # principal components kept of the vectors of a block of layers
FEW = 24  # of them, those that trees see
NEAREST = 15  # neighbours that vote


class VectorViews:
    """Everything below for train and the other parts, in this order."""

    def __init__(self, parts: Sequence[Columns]) -> None:
        """Take queries with vectors; the first part is train."""
        self._parts = parts
        self._space = VectorSpace(parts[0])
        self._scaled = [self._space.scaled(part) for part in parts]
        self._projected = [
            self._space.projected(part, rows)
            for part, rows in zip(parts, self._scaled, strict=True)
        ]
        self.linear = [
            self._space.by_block(part, rows)
            for part, rows in zip(parts, self._projected, strict=True)
        ]
        every = np.ones(len(parts[0]), dtype=bool)
        changed = parts[0].changed
        self.near, self._cosine = self._neighbours(every, place)
        self.near_changed, _ = self._neighbours(changed, place)
        self.near_relation, _ = self._neighbours(changed, place, relation)

    def _neighbours(
        self, used: BoolArray, *names: Callable[[Columns], Texts]
    ) -> tuple[list[IntArray], list[FloatArray]]:
        """Indices and cosines of the nearest used training rows of equal names, for every part."""
        keys = [
            texts(["\0".join(row) for row in zip(*(name(part) for name in names), strict=True)])
            for part in self._parts
        ]
        pairs = [self._nearest(i, keys, used) for i in range(len(keys))]
        return [index for index, _ in pairs], [cosine for _, cosine in pairs]

    def _nearest(
        self, which: int, keys: Sequence[Texts], used: BoolArray
    ) -> tuple[IntArray, FloatArray]:
        """Training rows of the largest cosine, (n, NEAREST), -1 and -inf where there are fewer.

        Rows of equal text are no neighbours, nor, within train, equal rows.
        """
        train, columns = self._parts[0], self._parts[which]
        found = np.full((len(columns), NEAREST), -1, dtype=np.int64)
        cosines = np.full((len(columns), NEAREST), -np.inf)
        left, right = _unit(self._scaled[0]), _unit(self._scaled[which])
        for key in sorted(set(keys[which])):
            mine = np.flatnonzero(keys[which] == key)
            theirs = np.flatnonzero((keys[0] == key) & used)
            if not len(theirs):
                continue
            cosine = (right[mine] @ left[theirs].T).astype(np.float64)
            cosine[columns.text[mine][:, None] == train.text[theirs][None, :]] = -np.inf
            if which == 0:
                cosine[cosine > 1 - 1e-6] = -np.inf
            n = min(NEAREST, len(theirs))
            order = np.argsort(-cosine, axis=1, kind="stable")[:, :n]
            best = np.take_along_axis(cosine, order, axis=1)
            found[mine, :n] = np.where(np.isfinite(best), theirs[order], -1)
            cosines[mine, :n] = best
        return found, cosines

    def numbers(self, *, target: bool) -> dict[str, list[FloatArray]]:
        """Return norms, distances and votes by name; with `target`, also of unpatched activations.

        These must have been measured for all parts or for none.
        """
        parts = zip(self._parts, self._scaled, self.near, self._cosine, strict=True)
        found = [self._of(*part, target=target) for part in parts]
        return {name: [own[name] for own in found] for name in found[0]}

    def _of(
        self, part: Columns, rows: Any, index: IntArray, cosine: FloatArray, *, target: bool
    ) -> dict[str, FloatArray]:
        changed = self._parts[0].changed
        there = index >= 0
        votes = np.where(there, changed[np.maximum(index, 0)], 0.0).sum(1)
        found = {
            "vector norm": self._space.norms(part),
            "distance to the training mean": np.linalg.norm(rows, axis=1),
            "distance to the nearest training vector": np.where(there[:, 0], -cosine[:, 0], 0.0),
            "vote of the nearest training vectors": votes / np.maximum(there.sum(1), 1),
            "distance to the group's mean": np.linalg.norm(rows - group_others(part, rows), axis=1),
        }
        if target and part.original is not None:
            original = self._space.scaled(part, original=True)
            found["distance to the original activation"] = np.linalg.norm(rows - original, axis=1)
            found["cosine with the original activation"] = (_unit(rows) * _unit(original)).sum(1)
        return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}

    def dense(self, *, target: bool) -> list[FloatArray]:
        """Return a few components and all numbers, (n, FEW + numbers); the group is not seen."""
        columns = self.numbers(target=target)
        columns.pop("distance to the group's mean")
        found = []
        for i, part in enumerate(self._parts):
            own = [self._projected[i][:, :FEW], *(values[i] for values in columns.values())]
            if target and part.original is not None:
                rows = self._space.scaled(part, original=True)
                moved = self._projected[i] - self._space.projected(part, rows)
                own.append(moved[:, :FEW])
            found.append(np.column_stack(own))
        return found

    def dense_group(self, *, target: bool) -> list[FloatArray]:
        """Return what tells a query from the others of its group."""
        columns = self.numbers(target=target)
        found = []
        for i, part in enumerate(self._parts):
            few = self._projected[i][:, :FEW]
            own = [few - group_others(part, few)]
            for values in columns.values():
                others = group_others(part, values[i][:, None])[:, 0]
                own += [values[i] - others, group_ranks(part, values[i])]
            found.append(np.column_stack(own))
        return found


class VectorSpace:
    """Vectors centred by place and divided by the block's spread, with components by block."""

    def __init__(self, train: Columns) -> None:
        """Learn means, spreads and components on train, which has vectors."""
        assert train.vector is not None
        where, blocks = place(train), block(train)
        self._default = train.vector.mean(0)
        self.mean = {name: train.vector[where == name].mean(0) for name in sorted(set(where))}
        lengths = np.linalg.norm(train.vector, axis=1)
        self.length = {name: float(lengths[where == name].mean()) for name in self.mean}
        self.spread: dict[str, float] = {}
        self.components: dict[str, npt.NDArray[np.float32]] = {}
        for name in sorted(set(blocks)):
            rows = blocks == name
            centred = self._centred(train.take(rows), train.vector[rows])
            self.spread[name] = float(np.linalg.norm(centred, axis=1).mean()) or 1.0
            right = np.linalg.svd(centred / self.spread[name], full_matrices=False)[2]
            self.components[name] = right[:COMPONENTS]

    def _centred(
        self, columns: Columns, vectors: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        means = np.stack([self.mean.get(name, self._default) for name in place(columns)])
        return np.asarray(vectors - means, dtype=np.float32)

    def scaled(self, columns: Columns, *, original: bool = False) -> npt.NDArray[np.float32]:
        """Return centred and scaled vectors, or unpatched activations, (n, d_target)."""
        vectors = columns.original if original else columns.vector
        assert vectors is not None
        spread = np.array([self.spread.get(name, 1.0) for name in block(columns)])
        return np.asarray(self._centred(columns, vectors) / spread[:, None], dtype=np.float32)

    def norms(self, columns: Columns) -> FloatArray:
        """Return lengths over the mean length of the place in train, (n,)."""
        assert columns.vector is not None
        typical = np.array([self.length.get(name, 1.0) for name in place(columns)])
        return np.asarray(np.linalg.norm(columns.vector, axis=1) / typical, dtype=np.float64)

    def projected(self, columns: Columns, scaled: npt.NDArray[np.float32]) -> FloatArray:
        """Return components by block, (n, COMPONENTS); zeros where train has no such block."""
        found = np.zeros((len(columns), COMPONENTS))
        blocks = block(columns)
        for name, components in self.components.items():
            rows = blocks == name
            found[rows, : len(components)] = scaled[rows] @ components.T
        return found

    def by_block(self, columns: Columns, projected: FloatArray) -> FloatArray:
        """Return components in columns of their own for each block, and the blocks themselves."""
        blocks = block(columns)
        parts = [
            np.concatenate([projected, np.ones((len(columns), 1))], axis=1)
            * (blocks == name)[:, None]
            for name in sorted(self.components)
        ]
        return np.concatenate(parts, axis=1)


def group_others(columns: Columns, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return for each row the mean of its group's *other* rows, zeros for a group of one."""
    n = np.bincount(columns.group)[columns.group]
    sums = np.zeros((int(columns.group.max()) + 1, values.shape[1]), dtype=np.float64)
    np.add.at(sums, columns.group, values)
    others = (sums[columns.group] - values) / np.maximum(n - 1, 1)[:, None]
    return np.asarray(np.where((n > 1)[:, None], others, 0.0))


def group_ranks(columns: Columns, score: FloatArray) -> FloatArray:
    """Return how much of its own group each query is above, ties count half, 0.5 for a single."""
    found = np.full(len(columns), 0.5)
    order = np.argsort(columns.group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(columns.group[order])) + 1):
        if len(rows) > 1:
            less = (score[rows][None, :] < score[rows][:, None]).sum(1)
            same = (score[rows][None, :] == score[rows][:, None]).sum(1) - 1
            found[rows] = (less + 0.5 * same) / (len(rows) - 1)
    return found


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)

"""Works that the package and its suites rest on, as literals: what `cite` can cite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["software", "dataset", "article", "proceedings", "report", "book"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One work."""

    key: str
    """BibTeX key."""
    kind: Kind
    """What it is."""
    title: str
    """Title, as printed."""
    authors: str
    """As BibTeX has them: `Family, Given and ... and others`; an organisation is in braces."""
    year: int | None = None
    """Year of publication; None for what is cited by its version."""
    venue: str | None = None
    """Journal, proceedings or publisher."""
    volume: str | None = None
    """Volume and number, such as `38(11)`."""
    pages: str | None = None
    """First and last page."""
    arxiv: str | None = None
    """Number on arXiv."""
    doi: str | None = None
    """Digital object identifier."""
    url: str | None = None
    """Address of what has neither."""
    version: str | None = None
    """Version, and what else tells its bytes."""
    licence: str | None = None
    """SPDX identifier, if something of it is shipped or downloaded."""
    used: str = ""
    """What it is used for here: one phrase."""

    @property
    def names(self) -> list[tuple[str, str]]:
        """Given and family name of each author, but for `others`; organisations have no given."""
        split = (name.partition(", ") for name in self.authors.split(" and "))
        return [(given, family.strip("{}")) for family, _, given in split if family != "others"]


SOURCES: Mapping[str, Source] = {
    "paper": Source(
        key="li2025training",
        kind="report",
        title="Training Language Models to Explain Their Own Computations",
        authors=(
            "Li, Belinda Z. and Guo, Zifan Carl and Huang, Vincent and Steinhardt, Jacob and "
            "Andreas, Jacob"
        ),
        year=2025,
        arxiv="2511.08579",
        used="the paper whose tasks the benchmark follows",
    ),
    "smollm2": Source(
        key="benallal2025smollm2",
        kind="report",
        title="SmolLM2: When Smol Goes Big -- Data-Centric Training of a Small Language Model",
        authors=(
            "Ben Allal, Loubna and Lozhkov, Anton and Bakouch, Elie and Martín Blázquez, "
            "Gabriel and Penedo, Guilherme and Tunstall, Lewis and Marafioti, Andrés and "
            "Kydlíček, Hynek and Piqueres Lajarín, Agustín and Srivastav, Vaibhav and "
            "Lochner, Joshua and Fahlgren, Caleb and Nguyen, Xuan-Son and Fourrier, "
            "Clémentine and Burtenshaw, Ben and Larcher, Hugo and Zhao, Haojun and Zakka, "
            "Cyril and Morlon, Mathieu and Raffel, Colin and von Werra, Leandro and Wolf, "
            "Thomas"
        ),
        year=2025,
        arxiv="2502.02737",
        licence="Apache-2.0",
        used="the target model SmolLM2-135M-Instruct",
    ),
    "gemma3": Source(
        key="gemma2025gemma3",
        kind="report",
        title="Gemma 3 Technical Report",
        authors="{Gemma Team}",
        year=2025,
        arxiv="2503.19786",
        licence="Gemma Terms of Use",
        used="the model Gemma 3 270M, from which another model's explainer is trained",
    ),
    "wikidata": Source(
        key="vrandecic2014wikidata",
        kind="article",
        title="Wikidata: A Free Collaborative Knowledgebase",
        authors="Vrandečić, Denny and Krötzsch, Markus",
        year=2014,
        venue="Communications of the ACM",
        volume="57(10)",
        pages="78-85",
        doi="10.1145/2629489",
        licence="CC0-1.0",
        used="the facts that prompts are written from",
    ),
    "big-bench": Source(
        key="srivastava2023beyond",
        kind="article",
        title=(
            "Beyond the Imitation Game: Quantifying and Extrapolating the Capabilities of "
            "Language Models"
        ),
        authors="Srivastava, Aarohi and Rastogi, Abhinav and Rao, Abhishek and others",
        year=2023,
        venue="Transactions on Machine Learning Research",
        arxiv="2206.04615",
        licence="Apache-2.0",
        used="the selection of the facts, its task qa_wikidata",
    ),
    "wordnet": Source(
        key="fellbaum1998wordnet",
        kind="book",
        title="WordNet: An Electronic Lexical Database",
        authors="Fellbaum, Christiane",
        year=1998,
        venue="MIT Press",
        version="WordNet 3.0",
        licence="WordNet",
        used="words, parts of speech and categories of the predicates",
    ),
    "empath": Source(
        key="fast2016empath",
        kind="proceedings",
        title="Empath: Understanding Topic Signals in Large-Scale Text",
        authors="Fast, Ethan and Chen, Binbin and Bernstein, Michael S.",
        year=2016,
        venue="Proceedings of the 2016 CHI Conference on Human Factors in Computing Systems",
        pages="4647-4657",
        doi="10.1145/2858036.2858535",
        version="empath 0.89",
        licence="MIT",
        used="topics of the predicates",
    ),
    "autoencoders": Source(
        key="gao2024scaling",
        kind="report",
        title="Scaling and Evaluating Sparse Autoencoders",
        authors=(
            "Gao, Leo and Dupré la Tour, Tom and Tillman, Henk and Goh, Gabriel and Troll, "
            "Rajan and Radford, Alec and Sutskever, Ilya and Leike, Jan and Wu, Jeffrey"
        ),
        year=2024,
        arxiv="2406.04093",
        used="the kind of autoencoder whose features are described",
    ),
    "sentence-embedding": Source(
        key="reimers2019sentence",
        kind="proceedings",
        title="Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
        authors="Reimers, Nils and Gurevych, Iryna",
        year=2019,
        venue="Proceedings of EMNLP-IJCNLP 2019",
        arxiv="1908.10084",
        doi="10.18653/v1/D19-1410",
        version="all-MiniLM-L6-v2",
        licence="Apache-2.0",
        used="the embedding by which descriptions are mapped to the nearest known predicate",
    ),
}
"""Works of others by the name they are asked for with."""

TARGET_SOURCES: Mapping[str, tuple[str, ...]] = {
    "smollm2-135m": ("smollm2",),
    "gemma3-270m": ("gemma3",),
}
"""Works to cite for a named target."""

TASK_SOURCES: Mapping[str, tuple[str, ...]] = {
    "activation-patching": ("wikidata", "big-bench"),
    "input-ablations": ("wikidata", "big-bench"),
    "feature-descriptions": (
        "wordnet",
        "empath",
        "wikidata",
        "big-bench",
        "autoencoders",
        "sentence-embedding",
    ),
}
"""Works that the queries and truth of a task are made of."""

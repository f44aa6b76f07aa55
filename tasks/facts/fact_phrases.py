"""How each relation is said: an open sentence that the object completes, and a question.

Only relations that a small language model answers with an entity are listed; the others stay in the
data file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """Wording of one relation."""

    relation: str  # name in the facts file
    cloze: str  # open sentence with `{s}` for the subject; the object follows after a space
    key: str  # the word of `cloze` that names the relation; it is a patched position
    question: str

    def open(self, subject: str) -> str:
        """Open sentence about a subject."""
        return self.cloze.replace("{s}", subject)

    def closed(self, subject: str, answer: str) -> str:
        """Complete sentence, with a full stop."""
        return f"{self.open(subject)} {answer}."

    def ask(self, subject: str) -> str:
        """Question about a subject."""
        return self.question.replace("{s}", subject)


def _phrase(relation: str, cloze: str, key: str, question: str) -> Phrase:
    return Phrase(relation=relation, cloze=cloze, key=key, question=question)


PHRASES = (
    _phrase("capital", "The capital of {s} is", "capital", "What is the capital of {s}?"),
    _phrase("color", "The color of {s} is", "color", "What is the color of {s}?"),
    _phrase("continent", "The continent of {s} is", "continent", "Which continent is {s} on?"),
    _phrase("country", "{s} is in the country of", "country", "Which country is {s} in?"),
    _phrase(
        "country of citizenship",
        "{s} is a citizen of",
        "citizen",
        "Which country is {s} a citizen of?",
    ),
    _phrase("currency", "The currency of {s} is the", "currency", "What is the currency of {s}?"),
    _phrase("genre", "The genre of {s} is", "genre", "What is the genre of {s}?"),
    _phrase(
        "headquarters location",
        "The headquarters of {s} is in",
        "headquarters",
        "Where is the headquarters of {s}?",
    ),
    _phrase(
        "health specialty",
        "The medical specialty for {s} is",
        "specialty",
        "What is the medical specialty for {s}?",
    ),
    _phrase(
        "historic county",
        "The historic county of {s} is",
        "county",
        "What is the historic county of {s}?",
    ),
    _phrase(
        "indigenous to",
        "The {s} people are indigenous to",
        "indigenous",
        "Where are the {s} people indigenous to?",
    ),
    _phrase("instrument", "{s} plays the", "plays", "Which instrument does {s} play?"),
    _phrase("language", "The language of {s} is", "language", "What is the language of {s}?"),
    _phrase(
        "language used",
        "The language used in {s} is",
        "language",
        "Which language is used in {s}?",
    ),
    _phrase(
        "languages spoken",
        "The language spoken by {s} is",
        "language",
        "Which language does {s} speak?",
    ),
    _phrase("located in", "{s} is located in", "located", "Where is {s} located?"),
    _phrase(
        "main subject",
        "The main subject of {s} is",
        "subject",
        "What is the main subject of {s}?",
    ),
    _phrase(
        "military rank",
        "The military rank of {s} is",
        "rank",
        "What is the military rank of {s}?",
    ),
    _phrase(
        "native language",
        "The native language of {s} is",
        "language",
        "What is the native language of {s}?",
    ),
    _phrase(
        "official language",
        "The official language of {s} is",
        "language",
        "What is the official language of {s}?",
    ),
    _phrase(
        "official religion",
        "The official religion of {s} is",
        "religion",
        "What is the official religion of {s}?",
    ),
    _phrase(
        "original country",
        "{s} comes from the country of",
        "country",
        "Which country does {s} come from?",
    ),
    _phrase(
        "record label",
        "The record label of {s} is",
        "label",
        "What is the record label of {s}?",
    ),
    _phrase("religion", "The religion of {s} is", "religion", "What is the religion of {s}?"),
    _phrase("residence", "{s} lived in", "lived", "Where did {s} live?"),
    _phrase(
        "shares border with",
        "{s} shares a border with",
        "border",
        "What does {s} share a border with?",
    ),
    _phrase("sport", "{s} plays the sport of", "sport", "Which sport does {s} play?"),
    _phrase(
        "team position",
        "The position played by {s} is",
        "position",
        "Which position does {s} play?",
    ),
    _phrase("voice type", "The voice type of {s} is", "voice", "What is the voice type of {s}?"),
)
"""All relations in use, by name."""

BY_RELATION = {phrase.relation: phrase for phrase in PHRASES}

"""How each relation is said: an open sentence that the object completes, and a question.

Only relations that a small language model answers with an entity are listed; the others stay in the
data file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
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


PHRASES = tuple(
    Phrase(*row.split("|"))
    for row in """
capital|The capital of {s} is|capital|What is the capital of {s}?
color|The color of {s} is|color|What is the color of {s}?
continent|The continent of {s} is|continent|Which continent is {s} on?
country|{s} is in the country of|country|Which country is {s} in?
country of citizenship|{s} is a citizen of|citizen|Which country is {s} a citizen of?
currency|The currency of {s} is the|currency|What is the currency of {s}?
genre|The genre of {s} is|genre|What is the genre of {s}?
headquarters location|The headquarters of {s} is in|headquarters|Where is the headquarters of {s}?
health specialty|The medical specialty for {s} is|specialty|What is the medical specialty for {s}?
historic county|The historic county of {s} is|county|What is the historic county of {s}?
indigenous to|The {s} people are indigenous to|indigenous|Where are the {s} people indigenous to?
instrument|{s} plays the|plays|Which instrument does {s} play?
language|The language of {s} is|language|What is the language of {s}?
language used|The language used in {s} is|language|Which language is used in {s}?
languages spoken|The language spoken by {s} is|language|Which language does {s} speak?
located in|{s} is located in|located|Where is {s} located?
main subject|The main subject of {s} is|subject|What is the main subject of {s}?
military rank|The military rank of {s} is|rank|What is the military rank of {s}?
native language|The native language of {s} is|language|What is the native language of {s}?
official language|The official language of {s} is|language|What is the official language of {s}?
official religion|The official religion of {s} is|religion|What is the official religion of {s}?
original country|{s} comes from the country of|country|Which country does {s} come from?
record label|The record label of {s} is|label|What is the record label of {s}?
religion|The religion of {s} is|religion|What is the religion of {s}?
residence|{s} lived in|lived|Where did {s} live?
shares border with|{s} shares a border with|border|What does {s} share a border with?
sport|{s} plays the sport of|sport|Which sport does {s} play?
team position|The position played by {s} is|position|Which position does {s} play?
voice type|The voice type of {s} is|voice|What is the voice type of {s}?
""".strip().splitlines()
)
"""All relations in use, by name."""

BY_RELATION = {phrase.relation: phrase for phrase in PHRASES}

"""Kinds of text that the target is asked to write: how it is asked, and how the text may begin.

Owns the wordings only; which are asked for, and about what, is drawn in `sampling.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Genre:
    """One kind of text."""

    name: str
    """Short name."""
    asks: tuple[str, ...]
    """Wordings of the request, `{s}` is the subject."""
    openings: tuple[str, ...] = ("",)
    """Beginnings of the text, put into the target's mouth; they are part of the document."""


def _genre(name: str, *asks: str, begins: tuple[str, ...] = ("",)) -> Genre:
    return Genre(name=name, asks=asks, openings=begins)


def _code(name: str, language: str, *openings: str) -> Genre:
    return Genre(
        name=name,
        asks=(
            f"Write {language} code that has to do with {{s}}. Add short comments.",
            f"Give an example of {language} for a program about {{s}}.",
        ),
        openings=openings,
    )


GENRES = (
    _genre(
        "encyclopedia",
        "Write an encyclopedia entry on {s}.",
        "Explain in one paragraph what is known about {s}.",
        begins=("", "The", "In"),
    ),
    _genre("history", "Tell the history of {s} with dates.", begins=("", "In 18", "During the")),
    _genre("biography", "Write a short biography of a person known for {s}.", begins=("", "Born")),
    _genre(
        "story",
        "Write the middle of a short story in which {s} matters.",
        "Tell a story about {s}, in the first person.",
        begins=("", "I", "It was", "She", "The old man", "When"),
    ),
    _genre(
        "spoken story",
        "Write a scene of a novel about {s} with a lot of direct speech.",
        begins=('"', '"I', "“", '"What'),
    ),
    _genre("fairy tale", "Tell a fairy tale about {s}.", begins=("", "Once", "There")),
    _genre("science fiction", "Write a page of science fiction about {s}.", begins=("", "The")),
    _genre(
        "mystery", "Write a page of a detective novel about {s}.", begins=("", "He", "Detective")
    ),
    _genre(
        "news",
        "Write a newspaper report about {s}.",
        "Write a wire agency report on an accident to do with {s}.",
        begins=("", "LONDON —", "NEW DELHI (", "The", "Police"),
    ),
    _genre("sport", "Report on a match or race. Mention {s}.", begins=("", "The")),
    _genre(
        "finance",
        "Write a market report on {s}, with prices and percentages.",
        begins=("", "Shares"),
    ),
    _genre("weather", "Write a weather report that mentions {s}.", begins=("", "Tomorrow")),
    _genre(
        "dialogue",
        "Write a conversation between two friends about {s}.",
        "Write a quarrel about {s} between a buyer and a seller.",
        begins=("", "A:", "Anna:", "Tom:"),
    ),
    _genre(
        "play",
        "Write a scene of a play about {s}, with stage directions.",
        begins=("", "SCENE", "["),
    ),
    _genre(
        "interview", "Write an interview with an expert on {s}.", begins=("", "Q:", "Interviewer:")
    ),
    _genre(
        "letter",
        "Write a letter to a friend about {s}.",
        "Write a formal letter of complaint about {s}.",
        begins=("", "Dear", "Dear Sir or Madam,"),
    ),
    _genre("email", "Write a business email about {s}.", begins=("Subject:", "Hi", "")),
    _genre(
        "diary",
        "Write a diary entry of someone who deals with {s}.",
        begins=("", "Monday,", "Today"),
    ),
    _genre(
        "recipe", "Write a recipe that fits the theme: {s}.", begins=("", "Ingredients:", "Preheat")
    ),
    _genre("bullet list", "List ten things about {s}.", begins=("", "-", "*", "•")),
    _genre("numbered list", "Make a numbered list of steps or facts: {s}.", begins=("1.", "")),
    _genre("table", "Make a table about {s} with three columns.", begins=("|", "")),
    _genre(
        "instructions", "Give instructions to a beginner: {s}.", begins=("", "First,", "Step 1:")
    ),
    _genre(
        "manual",
        "Write a page of the manual of a device used for {s}.",
        begins=("", "WARNING:", "##"),
    ),
    _genre(
        "review",
        "Write an enthusiastic review of a book or product about {s}.",
        "Write a very bad review of a hotel or product about {s}.",
        begins=("", "I", "This"),
    ),
    _genre(
        "advertisement", "Write an advertisement about {s}.", begins=("", "Introducing", "Are you")
    ),
    _genre(
        "speech",
        "Write a political speech about {s}.",
        "Write a toast or farewell speech that mentions {s}.",
        begins=("", "Ladies and gentlemen,", "My fellow"),
    ),
    _genre("sermon", "Write a sermon or prayer about {s}.", begins=("", "O", "Blessed")),
    _genre("essay", "Write an essay for and against {s}.", begins=("", "On the one hand,")),
    _genre(
        "opinion",
        "Argue strongly against {s}.",
        "Argue strongly in favour of {s}.",
        begins=("", "We"),
    ),
    _genre(
        "poem",
        "Write a poem about {s}.",
        "Write a song with a chorus about {s}.",
        begins=("", "O", "[Verse 1]"),
    ),
    _genre("quotations", "Give quotations about {s} and who said them.", begins=('"', "", "“")),
    _genre("proverbs", "Make up proverbs and sayings about {s}.", begins=("", "A")),
    _genre("jokes", "Tell jokes about {s}.", begins=("", "Why", "Q:")),
    _genre("questions", "Ask many different questions about {s}.", begins=("", "What", "How")),
    _genre(
        "examination",
        "Write multiple-choice questions with answers about {s}.",
        begins=("", "Question 1:", "1."),
    ),
    _genre(
        "arithmetic",
        "Make up a word problem with numbers about {s} and solve it step by step.",
        begins=("", "Solution:", "A"),
    ),
    _genre(
        "mathematics",
        "State and prove a small theorem; use {s} as the example.",
        begins=("", "Let"),
    ),
    _genre(
        "formulas",
        "Write down and explain formulas in LaTeX that help with {s}.",
        begins=("", "$$", "\\"),
    ),
    _genre(
        "statistics", "Give many numbers, years and percentages about {s}.", begins=("", "In 20")
    ),
    _genre(
        "science",
        "Write the abstract of a scientific paper on {s}.",
        begins=("", "We", "Background:"),
    ),
    _genre(
        "medicine",
        "Write a doctor's note about a patient; it mentions {s}.",
        begins=("", "Patient"),
    ),
    _genre(
        "law",
        "Write a clause of a contract or law about {s}.",
        begins=("", "§ 1", "Section", "WHEREAS"),
    ),
    _genre("dictionary", "Write dictionary entries for words to do with {s}.", begins=("", "1.")),
    _genre("travel", "Write a travel guide to a place where one finds {s}.", begins=("", "The")),
    _genre(
        "minutes", "Write the minutes of a meeting about {s}.", begins=("", "Present:", "Date:")
    ),
    _genre("posts", "Write posts of a web forum about {s}.", begins=("", "@", "User", ">")),
    _genre(
        "names", "List names of people, places and companies to do with {s}.", begins=("", "1.")
    ),
    _genre("timeline", "Write a timeline of {s}.", begins=("", "19", "1")),
    _genre("readme", "Write the README of a software project about {s}.", begins=("#", "")),
    _genre("log", "Write lines of a log file of a server about {s}.", begins=("20", "[INFO]", "[")),
    _genre("json", "Describe {s} as a JSON object.", begins=("```json\n{",)),
    _genre(
        "markup", "Write a web page in HTML about {s}.", begins=("```html\n<", "<!DOCTYPE html>\n")
    ),
    _genre("css", "Write a style sheet in CSS for a page about {s}.", begins=("```css\n",)),
    _genre("yaml", "Write a configuration file in YAML about {s}.", begins=("```yaml\n",)),
    _code("python", "Python", "```python\n", "```python\nimport", "```python\nclass", ""),
    _code("javascript", "JavaScript", "```javascript\n", "```javascript\nfunction"),
    _code("c", "C", "```c\n#include <", "```c\n"),
    _code("java", "Java", "```java\npublic class"),
    _code("sql", "SQL", "```sql\nSELECT", "```sql\nCREATE TABLE"),
    _code("shell", "Bash", "```bash\n#!/bin/bash\n"),
    _code("rust", "Rust", "```rust\nfn", "```rust\nuse"),
    _genre("french", "Écris un paragraphe en français sur : {s}.", begins=("", "Le", "Les", "Il")),
    _genre("spanish", "Escribe un párrafo en español sobre: {s}.", begins=("", "El", "La", "En")),
    _genre("german", "Schreibe einen Absatz auf Deutsch über: {s}.", begins=("Die", "Der", "Es")),
    _genre("italian", "Scrivi un paragrafo in italiano su: {s}.", begins=("Il", "La", "Questo")),
    _genre("portuguese", "Escreva um parágrafo em português sobre: {s}.", begins=("O", "A", "Os")),
    _genre("latin", "Write a few sentences in Latin about {s}.", begins=("", "In")),
    _genre(
        "translation", "Translate sentences about {s} into other languages.", begins=("", "French:")
    ),
)
"""All kinds of text."""

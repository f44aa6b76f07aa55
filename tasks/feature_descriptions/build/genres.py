"""What the target is asked to write: kinds of text, how each may begin, and common topics.

Which kind is asked for, and about what, is drawn in `sampling.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Genre:
    """One kind of text."""

    name: str
    asks: tuple[str, ...]  # wordings of the request, `{s}` is the subject
    openings: tuple[str, ...]
    """Beginnings of the text, put into the target's mouth; they are part of the document."""


def _genre(name: str, *asks: str, begins: tuple[str, ...]) -> Genre:
    return Genre(name, asks, begins)


def _code(name: str, language: str, *openings: str) -> Genre:
    asks = (
        f"Write {language} code that has to do with {{s}}. Add short comments.",
        f"Give an example of {language} for a program about {{s}}.",
    )
    return Genre(name, asks, openings)


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


_BY_FIELD = {
    "nature": """
        rain; a flood; earthquakes; volcanoes; the desert; a river in spring; mountains; glaciers;
        the moon; the sun; planets; a comet; stars and galaxies; black holes; the ocean; tides;
        coral reefs; forests; wild flowers; mushrooms; bees; butterflies; ants; spiders; snakes;
        frogs; sharks; whales; dolphins; eagles; owls; penguins; chickens; horses; cows; pigs; dogs;
        cats; wolves; bears; lions; elephants; monkeys; dinosaurs; fossils; minerals; gold; iron;
        diamonds; climate change; pollution; seasons; snow; a drought; farming; seeds; fruit trees
    """,
    "people": """
        a birthday; a wedding; a funeral; friendship; first love; jealousy; anger; grief; fear;
        happiness; loneliness; shame; courage; lies; a secret; twins; grandparents; raising
        children; a newborn baby; teenagers; school; a strict teacher; examinations; university;
        moving house; neighbours; old age; dreams; memory; sleep; habits; clothes; shoes; hats;
        jewellery; hair; tattoos; beauty; perfume; names; languages; dialects; manners; gossip
    """,
    "body and health": """
        the heart; the brain; lungs; blood; bones; muscles; skin; eyes; teeth; hands; headaches;
        fever; a broken leg; cancer; diabetes; vaccination; antibiotics; surgery; hospitals; nurses;
        pregnancy; diets; vitamins; running; yoga; swimming; smoking; alcohol; stress; depression;
        first aid; a pandemic; genes; viruses; bacteria; allergies; glasses; pain
    """,
    "food": """
        bread; cheese; soup; rice; noodles; potatoes; tomatoes; onions; garlic; apples; bananas;
        oranges; grapes; strawberries; chocolate; sugar; salt; pepper; coffee; tea; beer; wine;
        milk; eggs; fish; beef; chicken curry; vegetables; salads; cakes; ice cream; a feast;
        restaurants; hunger; kitchens; knives; spices of India; Italian cooking; street food
    """,
    "society": """
        elections; a parliament; kings and queens; a revolution; democracy; dictators; taxes; money;
        banks; debt; inflation; poverty; rich families; trade; a strike; factories; unemployment;
        a job interview; insurance; lawyers; a murder trial; prisons; the police; theft; corruption;
        spies; borders; refugees; immigration; slavery; women's rights; racism; censorship; the
        press; propaganda; war; soldiers; peace treaties; nuclear weapons; terrorism; the United
        Nations; the European Union; Africa; China; India; Brazil; Russia; Japan; Mexico; Germany;
        France; Spain; Canada; Australia; Egypt; Turkey; Ireland; New York; London; Paris; Tokyo
    """,
    "history and belief": """
        ancient Rome; ancient Greece; the pyramids; the Vikings; the Middle Ages; knights; castles;
        pirates; explorers; the Renaissance; the Industrial Revolution; the First World War; the
        Second World War; the Cold War; colonies; archaeology; museums; God; angels; the devil;
        churches; monks; Islam; Buddhism; Hinduism; Judaism; Christmas; Easter; Ramadan; myths;
        dragons; witches; ghosts; vampires; fate; the soul; death; philosophy; ethics; free will
    """,
    "arts and leisure": """
        painting; sculpture; photography; architecture; a piano; violins; guitars; jazz; opera; rock
        music; a choir; dancing; theatre; cinema; actors; television; comics; novels; poetry;
        libraries; newspapers; chess; card games; video games; football; cricket; tennis; baseball;
        basketball; boxing; cycling; skiing; sailing; fishing; gardening; knitting; camping; hiking;
        holidays at the sea; a circus; a zoo; fireworks; magic tricks; toys; puzzles; a marathon
    """,
    "technology and science": """
        computers; keyboards; the internet; email; passwords; hackers; mobile phones; robots;
        artificial intelligence; neural networks; databases; sorting numbers; prime numbers;
        fractions; triangles; probability; calendars; clocks; time zones; maps; compasses; cars;
        trains; bicycles; aeroplanes; ships; submarines; rockets; satellites; bridges; tunnels;
        elevators; electricity; batteries; solar panels; wind turbines; coal; oil; nuclear power;
        steel; glass; plastic; concrete; wood; paper; printing; radio; lasers; microscopes;
        telescopes; magnets; gravity; light; sound; heat; atoms; acids; carbon; oxygen; evolution;
        cells; DNA; experiments; measurement; colours; weather forecasts; maps of the world
    """,
    "everyday things": """
        a lost key; a broken window; doors; stairs; furniture; a mirror; lamps; candles; soap;
        towels; washing machines; cleaning; rubbish; tools; hammers and nails; ropes; boxes; bags;
        umbrellas; envelopes; stamps; pencils; scissors; a shopping list; supermarkets; prices;
        returning a parcel; a late train; traffic jams; parking; hotels; airports; suitcases;
        passports; rent; a leaking roof; noise at night; a power cut; an accident; a fire; a rescue
    """,
}

TOPICS = tuple(
    " ".join(topic.split()) for field in _BY_FIELD.values() for topic in field.split(";")
)
"""All topics, as they fit after "about"."""

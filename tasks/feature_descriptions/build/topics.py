"""Common topics that sampled text is about, besides the subjects of the facts.

Owns one list, written for this package.
"""

from __future__ import annotations

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

"""Words of the generated movie world: themes with their genres and vocabulary, parts of titles and plots.

A theme decides a movie's likely genres and the words of its title and plot, so text tells of taste. Words of
one kind are one text, split where they are used.
"""

from __future__ import annotations

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Horror",
    "Musical",
    "Romance",
    "Sci-Fi",
    "Thriller",
)

# theme: likely genres, nouns of titles and plots, places, people
THEMES: dict[str, tuple[str, str, str, str]] = {
    "sea": (
        "Adventure Drama Romance",
        "Harbour Tide Lighthouse Voyage Anchor Storm Island Reef",
        "a fishing village|a whaling ship|a drowned island|a lonely lighthouse",
        "captain sailor diver smuggler",
    ),
    "city": (
        "Crime Thriller Drama",
        "Alley Witness Verdict Ledger Alibi Neon Bridge Precinct",
        "a rainy capital|a night court|a bankrupt suburb|the old docks",
        "detective lawyer forger informer",
    ),
    "space": (
        "Sci-Fi Adventure Thriller",
        "Orbit Signal Comet Colony Engine Nebula Airlock Meridian",
        "a mining moon|a silent station|a generation ship|the last observatory",
        "pilot engineer android astronomer",
    ),
    "family": (
        "Comedy Drama Animation",
        "Kitchen Wedding Attic Holiday Cousin Garden Recipe Birthday",
        "a crowded farmhouse|a seaside hotel|a corner bakery|a caravan park",
        "grandmother stepfather twin neighbour",
    ),
    "haunting": (
        "Horror Thriller Drama",
        "Cellar Mirror Shadow Whisper Orchard Grave Candle Séance",
        "an abandoned school|a house on the moor|a flooded crypt|a snowed-in clinic",
        "widow priest caretaker medium",
    ),
    "war": (
        "Action Drama Adventure",
        "Regiment Front Convoy Armistice Bunker Medal Trench Border",
        "a besieged town|an occupied island|a field hospital|a mountain pass",
        "sergeant nurse deserter spy",
    ),
    "stage": (
        "Musical Romance Comedy",
        "Melody Curtain Waltz Chorus Spotlight Ballad Encore Piano",
        "a fading theatre|a travelling opera|a jazz cellar|a dance academy",
        "singer dancer composer understudy",
    ),
    "courtship": (
        "Romance Comedy Drama",
        "Letter Summer Promise Balcony Rose Kiss Umbrella Train",
        "a small bookshop|a vineyard|a night train|a provincial post office",
        "florist teacher translator bride",
    ),
    "heist": (
        "Crime Action Comedy",
        "Vault Diamond Getaway Safe Blueprint Casino Cargo Tunnel",
        "a casino|a private museum|a freight yard|a Swiss bank",
        "thief driver hacker magician",
    ),
    "fable": (
        "Animation Adventure Musical",
        "Dragon Lantern Fox Kingdom Wizard Acorn Feather Giant",
        "an enchanted forest|a castle in the clouds|a toy workshop|a talking zoo",
        "princess apprentice fox inventor",
    ),
    "nature": (
        "Documentary Adventure Drama",
        "River Glacier Migration Forest Desert Wolf Savannah Canopy",
        "the northern tundra|a rain forest|a dying lake|the high desert",
        "ranger biologist herder photographer",
    ),
    "machine": (
        "Sci-Fi Action Horror",
        "Circuit Virus Reactor Clone Protocol Laboratory Drone Mutation",
        "an underground laboratory|an automated city|a sealed reactor|a flooded server hall",
        "scientist cyborg programmer survivor",
    ),
}

GENRE_WORDS = {
    "Action": "chase explosion rescue showdown",
    "Adventure": "quest map journey treasure",
    "Animation": "spell wonder friendship puppet",
    "Comedy": "mishap prank farce misunderstanding",
    "Crime": "murder gang ransom swindle",
    "Documentary": "footage interview testimony chronicle",
    "Drama": "grief loyalty secret reconciliation",
    "Horror": "terror curse possession nightmare",
    "Musical": "song rehearsal tune dance",
    "Romance": "passion heartbreak longing proposal",
    "Sci-Fi": "future alien experiment planet",
    "Thriller": "conspiracy pursuit betrayal trap",
}

ADJECTIVES = (
    "Silent Crimson Last Hidden Golden Broken Distant Burning Quiet Forgotten Second Wild Bitter Pale "
    "Secret Long Empty Seventh Northern Bright Hollow Gentle Stolen "
    "Restless Frozen Little Lost Velvet Iron Sudden"
)

SURNAMES = (
    "Marlowe Okafor Lindqvist Moreau Castellan Ivanova Brandt Tanaka Whitlock Duarte Novak Ferreira "
    "Halloran Osei Petrakis Rahman Vance Ziegler Abara Kowalski"
)

TITLE_SHAPES = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "The {noun} of {surname}",
    "{surname}'s {noun}",
    "The {noun} and the {other}",
    "Beyond the {adjective} {noun}",
    "A {noun} for {surname}",
)

PLOT_SHAPES = (
    "In {place}, the {person} {surname} is drawn into a {word} when a {noun} comes to light. {more}",
    "A {person} returns to {place} and finds a {word} waiting beside the {noun}. {more}",
    "When the {noun} is lost, a young {person} must leave {place} and face the {word}. {more}",
    "Two people, a {person} and a stranger, share a {noun} in {place}, and with it a {word}. {more}",
)

MORE_SHAPES = (
    "Before long {word} and {noun} are all that is left.",
    "What begins with a {noun} ends in {word}.",
    "Only the {noun} knows of the {word} to come.",
)

# As above; {more} is a thing of the time.
LATER_SHAPES = (
    "Meanwhile a {person} in {place} keeps a {more} and says nothing of the {word}.",
    "An old {more} leads from {place} to the {noun}.",
    "A {person} who has had enough of {word} follows, {more} in hand.",
    "Nobody in {place} speaks of the {noun} any more, except a {person} with a {more}.",
)

# The year each era ends before, and its things
ERAS = (
    (1965, "telegram gramophone parade trolley"),
    (1980, "jukebox typewriter motorcycle slideshow"),
    (1990, "cassette answerphone synthesiser walkman"),
    (10_000, "pager modem website camcorder"),
)

FIRST_NAMES = (
    "Ada Basil Clara Dario Edith Felix Greta Hassan Ines Jonah Keiko Leopold Mirela Nadim Olive Piotr "
    "Quentin Rosa Stellan Tamar Ulrich Vera Wanda Xavier Yusuf Zora Amara Boris Carmen Dexter Elif Farida"
)

FAMILY_NAMES = (
    "Aldane Berrow Calder Dunmore Eskola Farkas Gallo Hartwig Imani Jelinek Kestrel Larue Mbeki Norrby "
    "Ostrander Pavone Quist Rosten Sandoval Thorne Ueda Varga Wexler Yarrow Zeller Ambrose Bellweather Cotrell "
    "Delacroix Engstrom"
)

OCCUPATIONS = (
    "student",
    "teacher",
    "engineer",
    "artist",
    "nurse",
    "farmer",
    "programmer",
    "lawyer",
    "sales",
    "retired",
)

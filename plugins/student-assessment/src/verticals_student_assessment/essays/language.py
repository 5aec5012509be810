"""Is a text in the declared language? By script, by common words, by unknown tokens.

No model of languages is asked: an essay that cannot be placed goes to a person, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from verticals.errors import ContractError

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LATIN_END = "\u024f"  # Latin Extended-B ends here

#: The commonest function words of each language that an essay may be declared to be in.
COMMON: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": """
            the be is are was were to of and a an in that have has had i it for not on with he as
            you do does at this but his by from they we say her she or will my one all would there
            their what so up out if about who get which go me when make can like no just him know
            because people them some could than then its our also how more these your
        """,
        "de": """
            der die das und ist in zu den mit von für auf nicht ein eine einen einem einer sich es
            dem des im auch als an nach wie aber aus wenn nur bei oder so noch war hat haben sind
            wird werden ich du er sie wir ihr man kann mehr sein über um dass
        """,
        "fr": """
            le la les de des du un une et est en à au aux que qui dans pour pas sur se ne plus par
            avec ce cette ces il elle ils elles nous vous je on sont mais ou où son sa ses leur
            être avoir fait comme tout si très
        """,
        "es": """
            el la los las de del un una unos y es en que a al por para con no se lo su sus como más
            pero o este esta estos son fue ser hay yo nos me te le muy si sin sobre también cuando
            todo porque
        """,
    }.items()
}
#: Languages that an essay cannot be declared to be in, but may be mistaken for.
_RIVALS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "pt": """
            o a os as do da dos das de um uma uns e é em no na nos nas que por para com não se ao
            aos à seu sua como mais mas ou este esta são foi ser há eu ele ela eles nós me muito
            também quando isso pelo pela porque está tem ter
        """,
        "it": """
            il lo la i gli le di del della dei delle un uno una e è in nel nella che a al alla per
            con non si su sono da dal dalla come più ma o questo questa ha hanno essere anche io
            noi lui lei mi ci ne se quando perché molto tutti
        """,
    }.items()
}
LEAST_COMMON = 0.15  # share of words that are common ones; prose has a third or more
MOST_FOREIGN = 0.2  # share of letters outside the Latin script
MOST_UNKNOWN = 0.05  # share of tokens that the tokenizer does not know
FEWEST_WORDS = 20  # below it the words are too few to tell a language by


def declared_language(settings: Mapping[str, object]) -> str:
    """Return the language of an essay field, `en` unless declared; raise `ContractError`."""
    language = str(settings.get("language", "en"))
    if language not in COMMON:
        raise ContractError(
            f"the essay's language is {language!r}, expected one of {', '.join(sorted(COMMON))}",
            hint="set `language:` under the field's settings",
        )
    return language


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are written."""
    return WORD.findall(text)


def common_share(words: list[str], language: str) -> float:
    """Return the share of words that are common in a language, 0 without words."""
    known = COMMON[language]
    return sum(word.lower() in known for word in words) / max(len(words), 1)


def rival_share(words: list[str], language: str) -> float:
    """Return the highest share of common words in any other language that is known here."""
    lower = [word.lower() for word in words]
    others = [known for name, known in {**COMMON, **_RIVALS}.items() if name != language]
    return max(sum(word in known for word in lower) for known in others) / max(len(words), 1)


def foreign_share(text: str) -> float:
    """Return the share of letters outside the Latin script, 0 without letters."""
    letters = [character for character in text if character.isalpha()]
    return sum(character > _LATIN_END for character in letters) / max(len(letters), 1)


def is_unknown(*, words: int, common: float, rival: float, foreign: float, unknown: float) -> bool:
    """Tell whether a text is likely not in the declared language.

    `common` and `rival` are shares of words that are common in the declared language and in the
    nearest other one, `foreign` and `unknown` shares of letters and tokens. A text of fewer than
    20 words is judged by its letters and tokens only.
    """
    strange = foreign > MOST_FOREIGN or unknown > MOST_UNKNOWN
    return strange or (words >= FEWEST_WORDS and common < max(LEAST_COMMON, rival))

"""Cleaning free text (PS3.15 E.3.5): what is not proven clean goes, word by word.

A word stays if it is in the vocabulary of radiology, is a small number, or is a short code of letters
and digits such as ``T2w`` or ``B1000``, and does not occur in a name, identifier or address of the same
data set. Before that, all goes that looks like a date, a telephone or other long number, an e-mail or
web address, initials, and what follows a title such as ``Dr.``

=======================  ====================
``CT Thorax``            ``CT Thorax``
``CT Thorax Mueller``    ``CT Thorax``
``Dr. Brown, Tel. 4711`` (nothing)
``t1_mprage_p2 J.D.``    ``t1_mprage_p2``
=======================  ====================
"""

import re
from collections.abc import Callable
from functools import lru_cache

from adit_core.deid.known import KnownValues, squeeze
from adit_core.deid.standard import vocabulary

_MONTHS = (
    "jan feb mar apr may jun jul aug sep oct nov dec mär mai okt dez ene abr ago dic janv févr avr juin "
    "juil août déc gen mag giu lug set ott"
).replace(" ", "|")
_PATTERNS = (
    # e-mail and web addresses
    re.compile(r"\S+@\S+|\b(?:https?|ftp|file|mailto):\S+|\bwww\.\S+|\\\\\S+", re.IGNORECASE),
    # 3.4.2024, 04/03/24, 2024-03-04
    re.compile(
        r"(?<!\d)\d{1,2}([./-])\s?\d{1,2}\1\s?(?:\d{4}|\d{2})(?!\d)|(?<!\d)\d{4}([./-])\d{1,2}\2\d{1,2}(?!\d)"
    ),
    # 4 March 2024, Mar-4-24, 4.März
    re.compile(
        rf"(?<!\d)\d{{1,2}}[\s.,/-]*(?:{_MONTHS})[^\W\d_]*\.?(?:[\s.,/-]*\d{{2,4}})?(?!\d)"
        rf"|\b(?:{_MONTHS})[^\W\d_]*[\s.,/-]+\d{{1,4}}(?:(?:st|nd|rd|th)?[\s.,/-]+\d{{2,4}})?(?!\d)",
        re.IGNORECASE,
    ),
    # years
    re.compile(r"(?<![\d.,])(?:19|20)\d\d(?![\d.,])"),
    # 6 digits and more, in a row or in groups
    re.compile(
        r"\+?\(?\d(?:\d[ ./()-]{0,2}){4,}\d|\d{2,}(?:[ /()-]{1,2}\d{2,}){2,}|\d{3,}[ ./()-]{1,2}\d{3,}"
    ),
    # J.D., J. D.
    re.compile(r"\b[^\W\d_]\.\s?[^\W\d_]\.(?!\w)"),
    # the words after a title; DR and MR are modalities
    re.compile(
        r"\b(?:Dr|Mr|Ms|(?i:prof|mrs|mme|mlle|herrn?|frau|schwester|signed|nurse|name|dob|mrn|tel|phone|fax)|"
        r"(?i:dr|mr|ms)(?=\.))\b"
        r"[.:]?(?:[\s,^]+(?:(?i:dr|prof|med|von|van|de|di)\b\.?|[^\W\d_]\.|[A-ZÀ-Þ][^\s,;^]*)){1,4}"
    ),
)
_WORD = re.compile(r"[^\W_]+")
_PIECE = re.compile(r"\d+|[A-ZÄÖÜ]?[a-zäöüßéèàçñó]+|[A-ZÄÖÜ]+(?![a-zäöü])|[^\W\d_]+")
_GAP = re.compile(r"_+\s[\s_]*|\s[\s_]+")
_EDGES = " \t\r\n,;:-_/^=+&|.*#()[]"
_NUMBER = 4
_DIGITS_OF_CODE = 3
_LETTERS_OF_CODE = 2
_PIECES_OF_CODE = 5
_B_VALUE = re.compile(r"b\d{1,5}")
_MATRIX = re.compile(r"\d{1,4}(?:x\d{1,4}){1,2}")
_LETTER_AND_DIGITS = 12

IsProven = Callable[[str], bool]


def clean_text(text: str, known: KnownValues) -> str:
    """Return `text` without the words that are not proven clean; it is unchanged if all are."""
    return _cleaned(text, known, _is_proven)


def clean_technical_text(text: str, known: KnownValues) -> str:
    """Return what a device says about itself, without what is not proven clean.

    Here codes of letters and digits may be longer, and short words in capitals stay.
    """
    return _cleaned(text, known, _is_technical)


def contains_known(text: str, known: KnownValues) -> bool:
    """Tell whether a word of `text`, or what it spells without punctuation, is a known value."""
    folded = text.casefold()
    if any(match[0] in known.words for match in _WORD.finditer(folded)):
        return True
    squeezed = squeeze(folded)
    return any(identifier in squeezed for identifier in known.identifiers)


def _cleaned(text: str, known: KnownValues, is_proven: IsProven) -> str:
    # What was apart may have become a date or number when the word between went.
    while (shorter := _cleaned_once(text, known, is_proven)) != text:
        text = shorter
    return text


def _cleaned_once(text: str, known: KnownValues, is_proven: IsProven) -> str:
    blanked = _spelling_out(known.identifiers).sub(" ", text) if known.identifiers else text
    for pattern in _PATTERNS:
        blanked = pattern.sub(" ", blanked)
    cleaned = _WORD.sub(
        lambda match: match[0] if match[0].casefold() not in known.words and is_proven(match[0]) else " ",
        blanked,
    )
    if cleaned != text:
        cleaned = _GAP.sub(" ", cleaned).strip(_EDGES)
    squeezed = squeeze(cleaned)
    if not squeezed or any(identifier in squeezed for identifier in known.identifiers):
        return ""
    return cleaned


@lru_cache(maxsize=64)
def _spelling_out(identifiers: frozenset[str]) -> re.Pattern[str]:
    """Return what finds identifiers with whatever punctuation between their letters and digits."""
    spellings = (r"[\W_]*".join(identifier) for identifier in sorted(identifiers))
    return re.compile("|".join(spellings), re.IGNORECASE)


def _is_proven(word: str) -> bool:
    if word.isdigit():
        return word.isascii() and len(word) <= _NUMBER
    folded = word.casefold()
    return (
        folded in vocabulary()
        or (len(word) == 1 and word.isascii())
        or _B_VALUE.fullmatch(folded) is not None
        or _MATRIX.fullmatch(folded) is not None
        or _is_code(word)
    )


def _is_code(word: str) -> bool:
    """Tell whether `word` is made of words of the vocabulary, or is a short mix of letters and digits."""
    pieces = _PIECE.findall(word)
    if len(pieces) > _PIECES_OF_CODE or "".join(pieces) != word:
        return False
    shortest = 0 if any(piece.isdigit() for piece in pieces) else _LETTERS_OF_CODE + 1
    return len(pieces) > 1 and all(
        len(piece) <= _DIGITS_OF_CODE
        if piece.isdigit()
        else shortest <= len(piece) <= _LETTERS_OF_CODE or piece.casefold() in vocabulary()
        for piece in pieces
    )


def _is_technical(word: str) -> bool:
    has_digit = any(char.isdigit() for char in word)
    return (
        _is_proven(word)
        or (has_digit and not word.isdigit() and word.isascii() and len(word) <= _LETTER_AND_DIGITS)
        or (word.isascii() and word.isupper() and len(word) <= _NUMBER)
    )  # fmt: skip

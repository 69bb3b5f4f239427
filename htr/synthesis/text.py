"""Short texts of the kind that people write on forms: a random generator in, a text and its language out.

Names, dates, amounts, sentences and addresses, English and French, in characters that every font can draw. They
are put together from small lists, so that there are far more texts than a network could learn by heart.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MIN_LENGTH, MAX_LENGTH = 4, 28
"""Shortest and longest text, in characters."""


class _Words(NamedTuple):
    """One language's lists. Sentences are subject, verb, object and, at times, when."""

    first_names: list[str]
    name_heads: list[str]
    name_tails: list[str]
    titles: list[str]
    months: list[str]
    weekdays: list[str]
    streets: list[str]
    towns: list[str]
    subjects: list[str]
    verbs: list[str]
    objects: list[str]
    times: list[str]


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split(",")]


_WORDS = {
    "eng": _Words(
        first_names=_list(
            """Abigail, Albert, Alice, Arthur, Beatrix, Clara, Daisy, Edwin, Evelyn, Felix, Florence, Frank,
            George, Grace, Harold, Hazel, Isaac, Jack, Jane, Kate, Kenneth, Lizzie, Louis, Mabel, Max, Nora,
            Oscar, Percy, Quentin, Ralph, Ruby, Sidney, Sylvia, Thomas, Ursula, Victor, Walter, William,
            Xanthe, Xenia, Yvonne, Zachary, Zoe"""
        ),
        name_heads=_list(
            """Ash, Black, Brad, Cart, Clif, Cox, Dray, Fair, Fox, Gold, Hack, Hart, Haw, Hunt, Kim, King, Lang,
            Marsh, Nor, Ox, Park, Quin, Rad, Rock, Salt, Shef, Stan, Thorn, Under, Wake, Web, White, Win,
            Wool, York"""
        ),
        name_tails=_list(
            """bury, by, combe, croft, dale, den, er, field, ford, ham, hurst, kins, land, ler, ley, low, man,
            more, ney, sey, son, stead, ster, ton, ward, well, wick, wood, worth"""
        ),
        titles=_list("Mr., Mrs., Miss, Dr., Capt."),
        months=_list(
            """January, February, March, April, May, June, July, August, September, October, November, December"""
        ),
        weekdays=_list("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
        streets=_list(
            """Abbey Road, Bridge St, Castle Row, Church Lane, Dock Road, Elm Close, Forge Hill, High Street,
            Jubilee Way, Kiln Lane, Lime Grove, Mill Lane, Oxford St, Quay Street, Vine Court, Zetland Pl"""
        ),
        towns=_list("Bath, Derby, Exeter, Fowey, Hull, Jarrow, Kew, Leeds, Oxford, Quorn, Ryde, Wells, York"),
        subjects=_list("We, I, They, You, Jack, Zoe, The boy, My aunt, Her sister, The clerk, Mr. Quick, A guest"),
        verbs=_list("bought, found, kept, lost, mixed, paid for, saw, sent, took, asked for, wrote about, liked"),
        objects=_list(
            "a box, the key, six jars, old books, the quilt, two hats, my view, a map, some wax, his ring"
        ),
        times=_list("today, at noon, again, in May, for you, on Friday, last week, at once, by mail"),
    ),
    "fra": _Words(
        first_names=_list(
            """Adele, Alexis, Amandine, Antoine, Baptiste, Camille, Cecile, Charles, Denis, Elodie, Emile, Fabrice,
            Gaston, Guy, Henri, Hugues, Irene, Jacques, Josephine, Juliette, Karine, Lazare, Louise, Lucien,
            Maxime, Noemie, Odile, Pascal, Quitterie, Raymond, Roxane, Sylvain, Therese, Urbain, Valentin,
            Wilfried, Xavier, Xenia, Yves, Zelie"""
        ),
        name_heads=_list(
            """Aub, Bar, Beau, Bel, Bon, Cham, Char, Clav, Dau, Des, Du, Faux, Fon, Gail, Gir, Hau, Jac, Ker, Lam,
            Lav, Mar, Mau, Mont, Nav, Per, Pont, Quen, Rav, Rous, Saul, Tail, Vau, Vig, Vill, Yv"""
        ),
        name_tails=_list(
            """ac, aille, anne, ard, art, aud, bert, dieu, don, eau, ert, erie, et, eux, ier, in, illon, kan, lac,
            lier, mont, neuf, not, ois, on, ot, oux, quin, rac, rel, rin, son, ton, val, vez, zac"""
        ),
        titles=_list("M., Mme, Mlle, Dr, Me, Veuve"),
        months=_list(
            """janvier, fevrier, mars, avril, mai, juin, juillet, aout, septembre, octobre, novembre, decembre"""
        ),
        weekdays=_list("lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche"),
        streets=_list(
            """rue de l'Eglise, rue Pasteur, rue du Moulin, rue Zola, rue Kleber, place d'Armes, av. Wagram,
            quai du Port, bd Voltaire, chemin Vert, rue Jaures, impasse Hoche, rue des Vignes, rue d'Alger"""
        ),
        towns=_list("Agen, Brest, Dax, Figeac, Gex, Houilles, Jarnac, Kerity, Lyon, Metz, Quimper, Reims, Vichy"),
        subjects=_list("Nous avons, Il a, Elle a, Vous avez, On a, J'ai, Yves a, Zelie a, Le fils a, Ma soeur a"),
        verbs=_list("vendu, perdu, garde, paye, trouve, quitte, choisi, exige, recopie, sauve, mis"),
        objects=_list("le kiosque, deux boeufs, un wagon, la maison, six livres, le jardin, ce fauteuil, la clef"),
        times=_list("hier, a midi, lundi, en mai, pour toi, ce soir, au village, jeudi, enfin"),
    ),
}
LANGUAGES = tuple(_WORDS)
_KINDS = ("name", "name", "name", "date", "date", "amount", "sentence", "sentence", "sentence", "address")


def invent_text(rng: np.random.Generator) -> tuple[str, str]:
    """Return a text of MIN_LENGTH to MAX_LENGTH characters, mostly 12 to 18, and its language (ISO 639-3)."""
    while True:
        language = _pick(rng, LANGUAGES)
        words = _WORDS[language]
        kind = _pick(rng, _KINDS)
        if kind == "name":
            text = _name(rng, words)
        elif kind == "date":
            text = _date(rng, words)
        elif kind == "amount":
            text = _amount(rng, language)
        elif kind == "address":
            text = _address(rng, words, language)
        else:
            text = _sentence(rng, words)
        if MIN_LENGTH <= len(text) <= MAX_LENGTH:
            return text, language


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _surname(rng: np.random.Generator, words: _Words) -> str:
    return _pick(rng, words.name_heads) + _pick(rng, words.name_tails)


def _name(rng: np.random.Generator, words: _Words) -> str:
    first, last = _pick(rng, words.first_names), _surname(rng, words)
    forms = (
        f"{first} {last}",
        f"{first} {last}",
        f"{last}, {first}",
        f"{_pick(rng, words.titles)} {first[0]}. {last}",
        f"{_pick(rng, words.titles)} {last}",
        f"{last.upper()} {first}",
        f"{first} {last}-{_surname(rng, words)}",
        f"{first} & {_pick(rng, words.first_names)}",
    )
    return _pick(rng, forms)


def _date(rng: np.random.Generator, words: _Words) -> str:
    day, year = int(rng.integers(1, 29)), int(rng.integers(1840, 2030))
    month = int(rng.integers(12))
    written, weekday = words.months[month], _pick(rng, words.weekdays)
    forms = [
        f"{day} {written} {year}",
        f"{day:02d}/{month + 1:02d}/{year}",
        f"{day}-{month + 1}-{year % 100:02d}",
        f"{day}.{month + 1}.{year}",
        f"{weekday} {day} {written}",
        f"{_pick(rng, words.towns)}, {day}/{month + 1}/{year}",
    ]
    if words is _WORDS["eng"]:
        forms += [f"{written} {day}, {year}", f"{weekday}, {written} {day}"]
    else:
        forms += [f"le {day} {written} {year}", f"{_pick(rng, words.towns)}, le {day} {written}"]
    return _pick(rng, forms)


def _amount(rng: np.random.Generator, language: str) -> str:
    whole, cents = int(10 ** rng.uniform(0.5, 5.2)), int(rng.integers(100))
    forms: tuple[str, ...]
    if language == "eng":
        forms = (
            f"${whole:,}.{cents:02d}",
            f"USD {whole:,}",
            f"{whole} pounds {cents % 20}s.",
            f"Total: ${whole}.{cents:02d}",
            f"{cents}% of ${whole:,}",
            f"No. {whole} ({cents} cents)",
        )
    else:
        forms = (
            f"{whole},{cents:02d} F",
            f"{whole} francs {cents:02d}",
            f"EUR {whole},{cents:02d}",
            f"Total : {whole} fr.",
            f"la somme de {whole} F",
            f"{cents} % de {whole} F",
            f"{whole} F (No {cents})",
        )
    return _pick(rng, forms)


def _address(rng: np.random.Generator, words: _Words, language: str) -> str:
    number, street, town = int(rng.integers(1, 240)), _pick(rng, words.streets), _pick(rng, words.towns)
    postcode = f"{int(rng.integers(1000, 96000)):05d}"
    forms: tuple[str, ...]
    if language == "eng":
        forms = (f"{number} {street}", f"{number} {street}, {town}", f"Flat {number % 40 + 1}, {town}")
    else:
        forms = (f"{number}, {street}", f"{number} {street} {town}", f"{postcode} {town}")
    return _pick(rng, forms)


def _sentence(rng: np.random.Generator, words: _Words) -> str:
    parts = [_pick(rng, words.subjects), _pick(rng, words.verbs), _pick(rng, words.objects)]
    if rng.random() < 0.4:
        parts.append(_pick(rng, words.times))
    return " ".join(parts) + _pick(rng, (".", ".", ".", "", "!", "?", ";"))

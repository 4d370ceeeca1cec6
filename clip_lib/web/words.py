"""The words of the search page, in English and in French."""

import re

_WORDS = {
    "title": ("# Search with a small CLIP", "# Chercher avec un petit CLIP"),
    "gallery": ("Where to look", "Où chercher"),
    "gallery_hint": (
        "test: pictures that the model never saw",
        "test : des images que le modèle n'a jamais vues",
    ),
    "by_text": ("By text", "Par texte"),
    "by_picture": ("By picture", "Par image"),
    "text": ("Describe a picture, in English", "Décrivez une image, en anglais"),
    "picture": (
        "Drop, paste or choose a picture",
        "Déposez, collez ou choisissez une image",
    ),
    "labels": ("Labels of your own, in English", "Vos étiquettes, en anglais"),
    "labels_hint": (
        "Separated by commas; without any, the gallery's captions answer.",
        "Séparées par des virgules ; sinon, les légendes de la galerie répondent.",
    ),
    "search": ("Search", "Chercher"),
    "examples": ("Examples", "Exemples"),
    "best": ("Best {} of {}", "Les {} meilleures réponses sur {}"),
    "score": ("score", "score"),
    "margin": ("margin", "marge"),
    "gone": ("This picture has moved or is gone.", "L'image n'est plus à sa place."),
    "help": ("What the numbers mean", "Ce que disent les nombres"),
    "help_text": (
        "Score: the cosine of query and answer, from -1 to 1; compare it within one "
        "query only. Margin: its lead over the next score. Probability: a softmax over "
        "all candidates; the bar compares it with that of the first answer.",
        "Score : le cosinus de la requête et de la réponse, de -1 à 1 ; il ne se "
        "compare qu'au sein d'une requête. Marge : son avance sur le suivant. "
        "Probabilité : un softmax sur toutes les réponses possibles ; la barre la "
        "compare à celle de la première.",
    ),
    "none_known": (
        "The model knows none of these words. It learned {} English ones: try “dog”.",
        "Le modèle ne connaît aucun de ces mots. Il en a appris {}, anglais : essayez "
        "« dog ».",
    ),
    "unknown": (
        "The model never saw: {}. It does not know what that means.",
        "Le modèle n'a jamais vu : {}. Il en ignore le sens.",
    ),
    "no_picture": (
        "This file cannot be read as a picture. Choose one of at most {} million "
        "pixels: {}.",
        "Ce fichier ne se lit pas comme une image. Choisissez-en une d'au plus {} "
        "millions de pixels : {}.",
    ),
    "few_labels": (
        "Write at least two labels, separated by commas.",
        "Écrivez au moins deux étiquettes, séparées par des virgules.",
    ),
}

ENGLISH = {key: english for key, (english, _) in _WORDS.items()}
# French puts a space before these signs, at which no line may break.
FRENCH = {
    key: re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)
    for key, (_, french) in _WORDS.items()
}


def words_for(accepted: str | None) -> dict[str, str]:
    """Return the words for an ``Accept-Language`` header, English by default."""
    first = re.split("[,;]", accepted or "")[0].strip().lower()
    return FRENCH if first.split("-")[0] == "fr" else ENGLISH


def number(value: float, digits: int, words: dict[str, str]) -> str:
    """Write a number as the language does: 0.41 or 0,41; zero has no sign."""
    text = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")
    return text.replace(".", ",") if words is FRENCH else text


def percent(share: float, words: dict[str, str]) -> str:
    """Write a share as the language does: 21.9% or 21,9 %."""
    return number(100 * share, 1, words) + ("\u00a0%" if words is FRENCH else "%")

"""What the search page says, in English and in French."""

import re

ENGLISH = {
    "title": "# Ask a small CLIP",
    "model": "Model",
    "gallery": "Where to look",
    "gallery_hint": "test: pictures that the model never saw",
    "by_text": "By text",
    "by_picture": "By picture",
    "by_labels": "Labels",
    "text": "Describe a picture, in English",
    "picture": "Drop, paste or choose a picture",
    "labels": "Labels, any words, commas between them",
    "templates": "Sentences, one a line; {} stands for the label",
    "more": "Sentences around the labels",
    "search": "Search",
    "find_label": "Find its label",
    "examples": "Examples",
    "score": "score",
    "margin": "margin",
    "chance": "{}\u00a0×\u00a0chance",
    "among_pictures": "Best {k} of {n} pictures",
    "among_captions": "Best {k} of {n} captions",
    "among_labels": "Labels from most to least probable",
    "gone": "The picture is not in its place any more.",
    "help": "What the figures say",
    "help_text": (
        "The score is the cosine of the query and the answer, -1 to 1: compare scores "
        "of one query only. The margin is how far it lies above the next one. The "
        "probability, which the bar draws beside that of the first answer, is a "
        "softmax over the whole gallery at the temperature that the model learned: how "
        "sure it is of this answer if one of these is right. Chance is one divided by "
        "the size of the gallery."
    ),
    "empty": "Write a few English words first.",
    "too_long": "This text is too long: at most {} characters.",
    "none_known": (
        "The model knows none of these words; its answers would mean nothing. It "
        "learned {} words, all English: try “dog”, “water”, “man”…"
    ),
    "unknown": "The model never saw: {}. It does not know what that means.",
    "choose_picture": "Choose a picture first.",
    "no_picture": "This file cannot be read as a picture. Expected: {}.",
    "too_many_pixels": "This picture is too large: at most {} million pixels.",
    "no_gallery": "This model has no such gallery: choose another one.",
    "no_captions": "These pictures have no captions to search: choose another gallery.",
    "few_labels": "Write at least two labels, with commas between them.",
    "many_labels": "At most {} labels and {} sentences.",
    "bad_template": "Each sentence needs one {} where the label stands: “the {}”.",
    "strange_labels": "The model knows no word of: {}. Their places mean nothing.",
}

FRENCH = {
    "title": "# Interroger un petit CLIP",
    "model": "Modèle",
    "gallery": "Où chercher",
    "gallery_hint": "test : des images que le modèle n'a jamais vues",
    "by_text": "Par texte",
    "by_picture": "Par image",
    "by_labels": "Étiquettes",
    "text": "Décrivez une image, en anglais",
    "picture": "Déposez, collez ou choisissez une image",
    "labels": "Étiquettes : des mots anglais, séparés par des virgules",
    "templates": "Phrases, une par ligne ; {} tient la place de l'étiquette",
    "more": "Les phrases autour des étiquettes",
    "search": "Chercher",
    "find_label": "Trouver son étiquette",
    "examples": "Exemples",
    "score": "score",
    "margin": "marge",
    "chance": "{} × le\u00a0hasard",
    "among_pictures": "Les meilleures images, {k} sur {n}",
    "among_captions": "Les meilleures légendes, {k} sur {n}",
    "among_labels": "Étiquettes, de la plus à la moins probable",
    "gone": "L'image n'est plus à sa place.",
    "help": "Ce que disent les chiffres",
    "help_text": (
        "Le score est le cosinus de la question et de la réponse, de -1 à 1 : il ne se "
        "compare qu'au sein d'une question. La marge dit de combien il dépasse le "
        "suivant. La probabilité, que la barre montre à côté de celle de la première "
        "réponse, est un softmax sur toute la galerie à la température que le modèle a "
        "apprise : sa confiance en cette réponse si l'une d'elles est la bonne. Le "
        "hasard est un, divisé par la taille de la galerie."
    ),
    "empty": "Écrivez d'abord quelques mots anglais.",
    "too_long": "Ce texte est trop long : au plus {} caractères.",
    "none_known": (
        "Le modèle ne connaît aucun de ces mots ; ses réponses ne voudraient rien "
        "dire. Il a appris {} mots, tous anglais : essayez « dog », « water », « man »…"
    ),
    "unknown": "Le modèle n'a jamais vu : {}. Il en ignore le sens.",
    "choose_picture": "Choisissez d'abord une image.",
    "no_picture": "Ce fichier ne se lit pas comme une image. Attendu : {}.",
    "too_many_pixels": "Cette image est trop grande : au plus {} millions de pixels.",
    "no_gallery": "Ce modèle n'a pas cette galerie : choisissez-en une autre.",
    "no_captions": "Ces images n'ont pas de légendes : choisissez une autre galerie.",
    "few_labels": "Écrivez au moins deux étiquettes, séparées par des virgules.",
    "many_labels": "Au plus {} étiquettes et {} phrases.",
    "bad_template": (
        "Chaque phrase demande un seul {}, à la place de l'étiquette : « the {} »."
    ),
    "strange_labels": (
        "Le modèle ne connaît aucun mot de : {}. Leur place ne veut rien dire."
    ),
}

# French puts a space before these signs, at which no line may break.
FRENCH = {
    key: re.sub(r" (?=[:;?!»×])|(?<=«) ", "\u00a0", text)
    for key, text in FRENCH.items()
}


def words_for(accepted: str | None) -> dict[str, str]:
    """Return the words in the language that a browser asks for, English by default.

    Args:
        accepted: The ``Accept-Language`` header: "fr-FR,fr;q=0.9,en;q=0.8".
    """
    first = re.split("[,;]", accepted or "")[0].strip().lower()
    return FRENCH if first.split("-")[0] == "fr" else ENGLISH


def number(value: float, digits: int, words: dict[str, str]) -> str:
    """Write a number as the language does: 0.41 or 0,41; no zero has a sign."""
    text = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")
    return text.replace(".", ",") if words is FRENCH else text


def percent(share: float, words: dict[str, str]) -> str:
    """Write a share as the language does: 21.9% or 21,9 %."""
    return number(100 * share, 1, words) + ("\u00a0%" if words is FRENCH else "%")

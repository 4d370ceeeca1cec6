"""The words of the search page, in English and in French."""

import re

_WORDS = {
    "title": ("# Search with a small CLIP", "# Chercher avec un petit CLIP"),
    "gallery": ("Where to look", "Où chercher"),
    "pictures": ("{} pictures", "{} images"),
    "pretrained": (
        "trained on Flickr8k, photographs from 2010",
        "entraîné sur Flickr8k, des photographies de 2010",
    ),
    "model": ("Model {}.", "Modèle {}."),
    "gallery_hint": (
        "Test: pictures that the model never saw.",
        "Test : des images que le modèle n'a jamais vues.",
    ),
    "no_gallery": (
        "There is no such gallery here: {}.",
        "Cette galerie n'existe pas ici : {}.",
    ),
    "by_text": ("By text", "Par texte"),
    "by_picture": ("By picture", "Par image"),
    "text": ("Describe a picture, in English", "Décrivez une image, en anglais"),
    "text_hint": (
        "Or combine descriptions: dog + snow - person",
        "Ou combinez des descriptions : dog + snow - person",
    ),
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
    "similar": ("Similar pictures: {} of {}", "Images semblables : {} sur {}"),
    "like": ("Similar to {2}: {0} of {1}", "Semblables à {2} : {0} sur {1}"),
    "score": ("score", "score"),
    "margin": ("margin", "marge"),
    "gone": ("This picture has moved or is gone.", "L'image n'est plus à sa place."),
    "larger": ("Larger view:", "Agrandir :"),
    "more_like": ("More like this", "Images semblables"),
    "more": ("{} more answers", "{} réponses de plus"),
    "open": ("Open", "Ouvrir"),
    "download": ("Download", "Télécharger"),
    "copy": ("Copy path", "Copier le chemin"),
    "copied": ("Copied", "Copié"),
    "close": ("Close", "Fermer"),
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
        "Write at least two labels that the model knows, separated by commas.",
        "Écrivez au moins deux étiquettes que le modèle connaît, séparées par des "
        "virgules.",
    ),
    "no_meaning": (
        "Nothing here says what to look for. Write what the picture shows, signs "
        "between blanks: dog + snow - person.",
        "Rien ici ne dit quoi chercher. Écrivez ce que l'image montre, les signes "
        "entre espaces : dog + snow - person.",
    ),
    "no_fit": (
        "Nothing here fits well: questions of random words score as high.",
        "Rien ici ne convient bien : des mots tirés au hasard font aussi bien.",
    ),
    "negation": (
        "“{}”: the model looks for it all the same. To leave it out, write - {}.",
        "« {} » : le modèle le cherche quand même. Pour l'exclure, écrivez - {}.",
    ),
    "full": (
        "Too many uploads at once; try again in ten minutes.",
        "Trop de fichiers reçus à la fois ; réessayez dans dix minutes.",
    ),
    "failed": (
        "No answer came: the server is busy or has ended. Ask again.",
        "Pas de réponse : le serveur est occupé ou arrêté. Redemandez.",
    ),
}

_GRADIO = {
    "^Upload file$|^File upload$": "Choisir un fichier",
    "^Déposez un fichier image ici pour télécharger$": "Déposer ou choisir une image",
    "^Paste from clipboard$": "Coller depuis le presse-papiers",
    "^Remove Image$": "Retirer l'image",
    "^More tabs$": "Autres onglets",
    "^Close$": "Fermer",
    "^Error$": "Erreur",
    "^Connection Lost$": "Connexion perdue",
    "^Connection to the server was lost.*": (
        "Le serveur ne répond plus. La page se recharge dès qu'il revient."
    ),
    "^Connection errored out.*": "Le serveur ne répond plus.",
    r"^File.* exceed.* (\d+)[.\d]* M.*": "Fichier trop lourd : $1 Mo au plus.",
    "^(HTTP|Error) 4[0-9][0-9]: ": "",
    "^(Queue is full|This application is currently busy).*": (
        "Trop de questions à la fois ; réessayez dans un instant."
    ),
}
"""What Gradio itself says in English whatever the browser's language, as regular
expressions, and what page.js puts in its place."""

ENGLISH = {key: english for key, (english, _) in _WORDS.items()}


def _spaced(french: str) -> str:
    """Let no line break before or after these signs, as French puts a space there."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)


FRENCH = {key: _spaced(french) for key, (_, french) in _WORDS.items()}
GRADIO_FRENCH = {english: _spaced(french) for english, french in _GRADIO.items()}


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

"""A broken answer carried on by another model: what that one is told, and how the two parts are joined."""

from __future__ import annotations

import re
from dataclasses import replace

from polyroute.tokens import estimate_text
from polyroute.types import ChatRequest, Message, Text, amended

__all__ = ["Seam", "continued"]

_IN_RUSSIAN = "Продолжай ровно с того места, где остановился."
_IN_UKRAINIAN = "Продовжуй рівно з того місця, де зупинився."
_UKRAINIAN = r"[іїєґ]"  # letters that Russian has not

# What asks for the rest, in the conversation's own language; a script or a few small words tell which.
_BY_SCRIPT: tuple[tuple[str, str], ...] = (
    (r"[\u3040-\u30ff]", "中断したところから、そのまま続けてください。"),
    (r"[\uac00-\ud7af]", "끊긴 부분부터 그대로 이어서 계속해 주세요."),
    (r"[\u4e00-\u9fff]", "请从中断处直接继续。"),
    (r"[\u0600-\u06ff]", "تابع من حيث توقفت بالضبط."),
    (r"[\u0590-\u05ff]", "המשך בדיוק מהמקום שבו נעצרת."),
    (r"[\u0900-\u097f]", "जहाँ रुके थे, ठीक वहीं से जारी रखें।"),
    (r"[\u0e00-\u0e7f]", "โปรดเขียนต่อจากจุดที่หยุดไว้ทันที"),
    (r"[\u0370-\u03ff]", "Συνέχισε ακριβώς από εκεί που σταμάτησες."),
    (r"[\u0400-\u04ff]", _IN_RUSSIAN),
)
# Each has the words that it shares with its neighbours too, or the neighbour would win them.
_BY_WORDS: tuple[tuple[str, str], ...] = (
    (
        "der die das und ist nicht ein eine ich wie zu den mit von auf im was war es in",
        "Fahre genau an der Stelle fort, an der du aufgehört hast.",
    ),
    (
        "le la les l des est une un et pas que je vous dans pour du de en à qui il",
        "Continue exactement là où tu t'es arrêté.",
    ),
    (
        "el la los las es una un y no que por como para de en del con se qué está",
        "Continúa exactamente donde lo dejaste.",
    ),
    (
        "il la gli di è una un e non che per come del in sono con si della l i",
        "Continua esattamente da dove ti sei fermato.",
    ),
    (
        "o a os as é uma um e não que para como de do da em no na com se",
        "Continua exatamente de onde paraste.",
    ),
    (
        "de het een en is niet van ik hoe voor dat in op te met zijn wat er",
        "Ga precies verder waar je gebleven was.",
    ),
    (
        "w i na nie się jest to jak czy że z do o po co była był",
        "Kontynuuj dokładnie od miejsca, w którym przerwano.",
    ),
    (
        "och är en ett det att inte som jag hur på av för med den i var",
        "Fortsätt exakt där du slutade.",
    ),
    (
        "bir ve bu için ne nasıl değil mi ile çok da de olarak var",
        "Tam kaldığın yerden devam et.",
    ),
    (
        "the and is of to a in what how you it that was for on with not are be i do we this",
        "Continue exactly where you stopped.",
    ),
)
_HERE = 2_000  # characters that tell a language
_ENOUGH = 200  # of the answer, without the question

_TELLING = 8  # characters that no two parts share by chance
_DISTINCT = 5  # different ones among them


def continued(request: ChatRequest, partial: str, *, prefills: bool) -> ChatRequest:
    """*request* as it is put to a model that is to carry *partial* on: as the beginning of its own answer
    where it *prefills*, else with a word that asks for the rest."""
    messages = _begun(request.messages, partial)
    if not prefills:
        messages = (*messages, Message("user", _asking_in(request, partial)))
    changes: dict[str, object] = {"messages": messages}
    if request.max_tokens is not None:
        changes["max_tokens"] = max(request.max_tokens - estimate_text(partial), 1)
    return amended(request, **changes)


def _begun(messages: tuple[Message, ...], partial: str) -> tuple[Message, ...]:
    """*messages* and the beginning of an answer, which the caller may have begun itself."""
    last = messages[-1]
    if last.role != "assistant":
        return (*messages, Message("assistant", partial))
    whole = last.content + partial if isinstance(last.content, str) else (*last.content, Text(partial))
    return (*messages[:-1], replace(last, content=whole))


def _asking_in(request: ChatRequest, partial: str) -> str:
    """The word that asks for the rest, in the language of the answer, or of the question where that is short."""
    asked = next((message for message in reversed(request.messages) if message.role == "user"), None)
    words = partial if len(partial) >= _ENOUGH or asked is None else f"{asked.text} {partial}"
    words = words[:_HERE].casefold()
    letters = sum(map(str.isalpha, words))
    for script, phrase in _BY_SCRIPT:
        if len(re.findall(script, words)) * 10 > letters:
            ukrainian = phrase is _IN_RUSSIAN and len(re.findall(_UKRAINIAN, words)) * 50 > letters
            return _IN_UKRAINIAN if ukrainian else phrase
    said = re.findall(r"\w+", words)
    counts = [(sum(map(known.split().count, said)), phrase) for known, phrase in _BY_WORDS]
    # English stands last, and wins where nothing speaks for another.
    return max(reversed(counts), key=lambda count: count[0])[1]


class Seam:
    """Joins what a second model says to *before*, without a lost or a repeated character.

    A model that is asked to carry on may begin a little before the break, or with all of it. What it
    says is held back as long as it may be such a repetition, which ends where *before* ends. One that
    could be chance is none: it must be long and telling, and begin where a word does. *trimmed* is the
    space at the end that the model was not shown, and may say again.
    """

    def __init__(self, before: str, trimmed: str = "") -> None:
        self._before = before
        self._trimmed = trimmed
        self._held = ""
        self._joined = False

    def feed(self, text: str) -> str:
        """What of *text*, and of what was held back, comes after the seam; "" while that is open."""
        if self._joined:
            return text
        self._held += text
        return "" if self._held in self._before else self.end()

    def end(self) -> str:
        """What is still held back, without what it repeats."""
        if self._joined:
            return ""
        self._joined = True
        held, self._held = self._held, ""
        rest = held[self._overlap(held) :]
        space = len(self._trimmed)
        while not rest.startswith(self._trimmed[:space]):
            space -= 1
        return rest[space:]

    def _overlap(self, said: str) -> int:
        """How many of its first characters are the last ones that the model was shown, told again."""
        shown = self._before[: len(self._before) - len(self._trimmed)]
        start = shown.find(said[:_TELLING])
        while 0 <= start <= len(shown) - _TELLING:
            if said.startswith(shown[start:]) and _tells(shown, start):
                return len(shown) - start
            start = shown.find(said[:_TELLING], start + 1)
        return 0


def _tells(shown: str, start: int) -> bool:
    """Whether what is shown from *start* on is no chance: that it varies, and begins where a word does."""
    within = start > 0 and shown[start - 1].isalnum() and shown[start].isalnum()
    return not within and len(set(shown[start:])) >= _DISTINCT

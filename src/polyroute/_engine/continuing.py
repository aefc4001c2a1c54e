"""A broken answer carried on by another model: what that one is told, and how the two parts are joined."""

from __future__ import annotations

import re

from polyroute.tokens import estimate_text
from polyroute.types import ChatRequest, Message, amended

__all__ = ["Seam", "continued"]

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
    (r"[іїєґІЇЄҐ]", "Продовжуй рівно з того місця, де зупинився."),
    (r"[\u0400-\u04ff]", "Продолжай ровно с того места, где остановился."),
)
_BY_WORDS: tuple[tuple[str, str], ...] = (
    (r"der|die|das|und|ist|nicht|ein|eine|wie|ich", "Fahre genau an der Stelle fort, an der du aufgehört hast."),
    (r"le|la|les|des|est|une|et|pas|que|je|vous", "Continue exactement là où tu t'es arrêté."),
    (r"el|los|las|es|una|y|no|por|como|para", "Continúa exactamente donde lo dejaste."),
    (r"il|gli|di|è|una|e|non|che|per|come", "Continua esattamente da dove ti sei fermato."),
    (r"o|os|as|é|uma|e|não|que|para|como", "Continua exatamente de onde paraste."),
    (r"de|het|een|en|is|niet|van|ik|hoe|voor", "Ga precies verder waar je gebleven was."),
    (r"w|i|na|nie|się|jest|to|jak|czy|że", "Kontynuuj dokładnie od miejsca, w którym przerwano."),
    (r"och|är|en|ett|det|att|inte|som|jag|hur", "Fortsätt exakt där du slutade."),
    (r"bir|ve|bu|için|ne|nasıl|değil|mi|ile|çok", "Tam kaldığın yerden devam et."),
    (r"the|and|is|of|to|a|in|what|how|you", "Continue exactly where you stopped."),
)
_HERE = 2_000  # characters that tell a language

_TELLING = 8  # characters that no two parts share by chance
_DISTINCT = 5  # different ones among them
_SEEN = 4_096  # characters of an overlap that are looked for, short of the whole


def continued(request: ChatRequest, partial: str, *, prefills: bool, trims: bool) -> ChatRequest:
    """*request* as it is put to a model that is to carry *partial* on: as the beginning of its own answer
    where it *prefills*, without the space at its end where that *trims*; else with a word that asks for it."""
    begun = Message("assistant", partial.rstrip() if prefills and trims else partial)
    rest = () if prefills else (Message("user", _asking_in(request, partial)),)
    changes: dict[str, object] = {"messages": (*request.messages, begun, *rest)}
    if request.max_tokens is not None:
        changes["max_tokens"] = max(request.max_tokens - estimate_text(partial), 1)
    return amended(request, **changes)


def _asking_in(request: ChatRequest, partial: str) -> str:
    """The word that asks for the rest, in the language of the answer, or of the question where that is short."""
    asked = next((message for message in reversed(request.messages) if message.role == "user"), None)
    words = partial if len(partial) >= _HERE / 10 or asked is None else f"{asked.text} {partial}"
    words = words[:_HERE]
    for script, phrase in _BY_SCRIPT:
        if len(re.findall(script, words)) * 10 > len(words):
            return phrase
    counts = [
        (len(re.findall(rf"\b(?:{known})\b", words, re.IGNORECASE)), phrase) for known, phrase in _BY_WORDS
    ]
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
        if self._held and (self._before + self._trimmed).find(self._held) >= 0:
            return ""
        return self.end()

    def end(self) -> str:
        """What is still held back, without what it repeats."""
        if self._joined:
            return ""
        self._joined = True
        held, self._held = self._held, ""
        repeated = self._overlap(held)
        if not repeated and self._trimmed and held.startswith(self._trimmed):
            repeated = len(self._trimmed)
        return held[repeated:]

    def _overlap(self, said: str) -> int:
        """How many of its first characters are the last ones of *before*, told again."""
        before = self._before
        longest = min(len(said), len(before))
        lengths = (longest, *range(min(longest - 1, _SEEN), _TELLING - 1, -1))
        for length in lengths:
            if before.endswith(said[:length]) and self._tells(length):
                return length
        return 0

    def _tells(self, length: int) -> bool:
        start = len(self._before) - length
        repeated = self._before[start:]
        begins = start == 0 or not (self._before[start - 1].isalnum() and repeated[0].isalnum())
        return length >= _TELLING and len(set(repeated)) >= _DISTINCT and begins

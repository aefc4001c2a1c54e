"""Short texts in many scripts and notations, with what the real vocabularies make of them.

The prose is the first article of the Universal Declaration of Human Rights. The counts are those of
tiktoken for GPT, of the published vocabularies for Gemini (Gemma 3), Qwen, Mistral, DeepSeek and Llama, and
of a public reconstruction of Anthropic's answers for Claude.
"""

# ruff: noqa: RUF001 - Greek letters that look like Latin ones are Greek letters

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SAMPLES", "Sample"]


class Sample(NamedTuple):
    name: str
    text: str
    tokens: dict[str, int]


_MODELS = (
    *("gpt-4o", "gpt-4", "gemini-2.5-flash", "qwen3", "mistral-large", "deepseek-chat", "llama-3.3"),
    *("claude-sonnet-4-5", "claude-sonnet-5"),
)


def _sample(name: str, text: str, *tokens: int) -> Sample:
    return Sample(name, text, dict(zip(_MODELS, tokens, strict=True)))


SAMPLES = (
    _sample(
        "english",
        "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
        33,
        33,
        32,
        33,
        33,
        33,
        33,
        33,
        49,
    ),
    _sample(
        "german",
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
        38,
        44,
        39,
        44,
        36,
        43,
        44,
        53,
        74,
    ),
    _sample(
        "french",
        "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
        41,
        50,
        40,
        50,
        42,
        50,
        50,
        56,
        68,
    ),
    _sample(
        "russian",
        "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
        41,
        74,
        40,
        49,
        46,
        46,
        48,
        58,
        58,
    ),
    _sample(
        "greek",
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
        71,
        172,
        73,
        163,
        74,
        92,
        74,
        124,
        124,
    ),
    _sample(
        "arabic",
        "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.",
        42,
        80,
        42,
        46,
        40,
        44,
        45,
        76,
        76,
    ),
    _sample(
        "hindi",
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
        54,
        180,
        45,
        171,
        60,
        92,
        93,
        122,
        122,
    ),
    _sample(
        "chinese",
        "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
        37,
        52,
        31,
        29,
        39,
        27,
        38,
        48,
        47,
    ),
    _sample(
        "japanese",
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
        72,
        93,
        46,
        52,
        62,
        51,
        58,
        73,
        73,
    ),
    _sample(
        "korean",
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
        51,
        85,
        49,
        55,
        46,
        57,
        52,
        89,
        88,
    ),
    _sample(
        "code",
        "async def drain(queue: Queue[Item], *, limit: int = 64) -> list[Item]:\n    items = [await queue.get()]\n    while len(items) < limit and not queue.empty():\n        items.append(queue.get_nowait())\n    return items\n",
        54,
        54,
        67,
        55,
        55,
        54,
        54,
        66,
        82,
    ),
    _sample(
        "json",
        '{"orders": [{"id": 48213, "status": "shipped", "items": [{"sku": "AB-1290", "quantity": 2, "price": 19.95}], "total": 39.9, "paid": true}], "next": null}',
        61,
        61,
        69,
        69,
        73,
        65,
        61,
        65,
        75,
    ),
    _sample(
        "numbers",
        "3.14159265 2.71828183 1.41421356 299792458 6.02214076 1.60217663 9.80665 101325 273.15 8.31446262",
        51,
        51,
        97,
        97,
        97,
        51,
        51,
        52,
        51,
    ),
    _sample(
        "emoji",
        "Well done! 🎉🎉 See you tomorrow 👋 and bring the 🎂 😀",
        18,
        21,
        15,
        19,
        25,
        21,
        21,
        28,
        34,
    ),
)

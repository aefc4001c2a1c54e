"""What asks for the rest of a broken answer is said in the conversation's own language."""

from __future__ import annotations

import pytest

from polyroute import Router
from tests.doubles import deployment
from tests.engine.breaking import Chunks, breaks, read

EN = "Continue exactly where you stopped."
DE = "Fahre genau an der Stelle fort, an der du aufgehört hast."
FR = "Continue exactement là où tu t'es arrêté."
ES = "Continúa exactamente donde lo dejaste."
IT = "Continua esattamente da dove ti sei fermato."
PT = "Continua exatamente de onde paraste."
NL = "Ga precies verder waar je gebleven was."
PL = "Kontynuuj dokładnie od miejsca, w którym przerwano."
SV = "Fortsätt exakt där du slutade."
TR = "Tam kaldığın yerden devam et."
RU = "Продолжай ровно с того места, где остановился."
UK = "Продовжуй рівно з того місця, де зупинився."
JA = "中断したところから、そのまま続けてください。"
ZH = "请从中断处直接继续。"
KO = "끊긴 부분부터 그대로 이어서 계속해 주세요."
AR = "تابع من حيث توقفت بالضبط."
HE = "המשך בדיוק מהמקום שבו נעצרת."
HI = "जहाँ रुके थे, ठीक वहीं से जारी रखें।"
TH = "โปรดเขียนต่อจากจุดที่หยุดไว้ทันที"
EL = "Συνέχισε ακριβώς από εκεί που σταμάτησες."


async def asked_with(question, partial):
    """What the second deployment is asked with, after *partial*."""
    second = Chunks(" and so on")
    messages = [{"role": "system", "content": "You are a helpful assistant."}, *question]
    async with Router([deployment("a", breaks(partial)), deployment("b", second)]) as router:
        await read(router, messages, on_break="resume")
    told = second.calls[0].request.messages
    assert [message.role for message in told].count("system") == 1
    assert [message.role for message in told[-2:]] == ["assistant", "user"]
    return told[-1].text


def user(text):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("question", "partial", "phrase"),
    [
        ("Why is the sky blue?", "The sky is blue because", EN),
        ("Was ist der Unterschied zwischen Wetter und Klima?", "Das Wetter ist", DE),
        ("Pourquoi le ciel est-il bleu ?", "Le ciel est bleu parce que la lumière", FR),
        ("¿Por qué el cielo es azul?", "El cielo es azul porque la luz que", ES),
        ("Perché il cielo è blu?", "Il cielo è blu perché la luce che", IT),
        ("Por que o céu é azul?", "O céu é azul porque a luz não", PT),
        ("Waarom is de lucht blauw?", "De lucht is blauw omdat het licht van de zon", NL),
        ("Dlaczego niebo jest niebieskie?", "Niebo jest niebieskie, ponieważ światło nie", PL),
        ("Varför är himlen blå?", "Himlen är blå för att ljuset och", SV),
        ("Gökyüzü neden mavi?", "Gökyüzü mavi çünkü güneş ışığı bir", TR),
        ("Почему небо голубое?", "Небо голубое, потому что", RU),
        ("Чому небо блакитне?", "Небо блакитне, тому що світло", UK),
        ("空はなぜ青いのですか", "空が青いのは", JA),
        ("天空为什么是蓝色的？", "天空之所以是蓝色", ZH),
        ("하늘은 왜 파란가요?", "하늘이 파란 이유는", KO),
        ("لماذا السماء زرقاء؟", "السماء زرقاء لأن", AR),
        ("למה השמיים כחולים?", "השמיים כחולים כי", HE),
        ("आसमान नीला क्यों है?", "आसमान नीला है क्योंकि", HI),
        ("ทำไมท้องฟ้าถึงเป็นสีฟ้า", "ท้องฟ้าเป็นสีฟ้าเพราะ", TH),
        ("Γιατί ο ουρανός είναι μπλε;", "Ο ουρανός είναι μπλε επειδή", EL),
    ],
)
async def test_of_question_and_answer(question, partial, phrase):
    assert await asked_with(user(question), partial) == phrase


@pytest.mark.parametrize(
    ("question", "partial", "phrase"),
    [
        ("42?", "42", EN),
        ("???", "…", EN),
        ("I think I am late, am I not? I ran.", "I", EN),
        ("Wie heißt du?", "Ich", DE),
        ("la casa que vimos y la playa", "la", ES),
        ("o que é isto", "é", PT),
        ("Explain `TaskGroup` in asyncio", "A `TaskGroup` is", EN),
        ("PythonのasyncioでTaskGroupを使うには", "TaskGroupは", JA),
        ("Was macht `asyncio.TaskGroup` in Python?", "Die Klasse `asyncio.TaskGroup` ist", DE),
        ("東京の天気は？", "東京", JA),
    ],
    ids=[
        "numbers", "signs", "letters that are words elsewhere", "one word", "words of two languages",
        "short Portuguese", "code", "Japanese with code", "German with code", "few kana among kanji",
    ],
)  # fmt: skip
async def test_where_there_is_little_to_go_by(question, partial, phrase):
    assert await asked_with(user(question), partial) == phrase


async def test_of_the_answer_alone_where_that_is_long():
    french = "Le ciel est bleu parce que la lumière est diffusée par les molécules. " * 5
    assert await asked_with(user("Translate this into French: " + "the sky and the sea " * 40), french) == FR


async def test_of_the_newest_question():
    earlier = [*user("Pourquoi le ciel est-il bleu ?"), {"role": "assistant", "content": "Parce que."}]
    assert await asked_with([*earlier, *user("And why is the sea blue, too?")], "Be") == EN


async def test_where_nobody_has_asked_anything():
    second = Chunks(" und so weiter")
    only = [{"role": "system", "content": "Write of the sea."}]
    async with Router([deployment("a", breaks("Das Meer ist")), deployment("b", second)]) as router:
        await read(router, only, on_break="resume")
    assert second.calls[0].request.messages[-1].text == DE

"""Which rule fits which language, and scores by characters counted by hand."""

import unicodedata

import pytest

from reslab.qa.data.question import Answer, Question
from reslab.qa.rules import exact, f1, normalize_characters, rule_for


def asked(context: str, *gold: str, hidden: bool = False) -> Question:
    return Question(id="q", question="?", context=context, answers=tuple(Answer(text, -1) for text in gold),
                    impossible=not gold and not hidden, hidden=hidden)  # fmt: skip


KOREAN = "서울은 한국의 수도이다"


@pytest.mark.parametrize(
    ("context", "gold", "rule", "script"),
    [
        ("Ada wrote notes in 1843.", "1843", "squad1", "spaces separate"),
        ("東京は日本の首都であり、人口は約1400万人です。", "約1400万人", "characters", "Chinese or Japanese"),
        ("北京是中国的首都。", "北京", "characters", "Chinese or Japanese"),
        ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "กรุงเทพมหานคร", "characters", "Thai"),
        ("ວຽງຈັນເປັນນະຄອນຫຼວງຂອງປະເທດລາວ", "ວຽງຈັນ", "characters", "Lao"),
        ("ភ្នំពេញគឺជារាជធានីនៃប្រទេសកម្ពុជា", "ភ្នំពេញ", "characters", "Khmer"),
        ("နေပြည်တော်သည်မြန်မာနိုင်ငံ၏မြို့တော်ဖြစ်သည်", "နေပြည်တော်", "characters", "Burmese"),
        (KOREAN, "서울", "korquad", "Korean"),
        (unicodedata.normalize("NFD", KOREAN), "서울", "korquad", "Korean"),
        ("Столица России - Москва", "Москва", "squad1", "spaces separate"),
        ("دلهی پایتخت هند است", "دلهی", "squad1", "spaces separate"),
        ("Confucius (孔子) was born in Qufu and taught many students.", "孔子", "squad1", "spaces separate"),
    ],
)
def test_the_rule_follows_the_script(context: str, gold: str, rule: str, script: str) -> None:
    found = rule_for([asked(context, gold)] * 3)
    assert found.rule == rule
    assert script in found.why
    none = rule_for([asked(context, gold)] * 3 + [asked(context)])
    assert none.rule == ("squad2" if rule == "squad1" else "characters2")
    assert none.why.endswith("; some questions have no answer")
    assert rule_for([asked(context, hidden=True)]).rule == rule  # hidden answers are not missing ones


def test_what_a_rule_by_words_cannot_score_is_told() -> None:
    """One question in three has 10 Japanese letters; the other two have 17 letters each: 10 of 44."""
    mixed = [asked("東京は日本の首都です", "")] + [asked("Ada wrote notes about it", "")] * 2
    found = rule_for(mixed)
    assert found.rule == "squad1"
    assert "20% of the letters are Chinese or Japanese, where F1 by words is exact match" in found.why


def test_all_questions_are_asked_not_the_first_ones() -> None:
    """3 questions about English texts stand before 997 about Japanese ones."""
    many = [asked("Ada wrote notes.", "notes")] * 3 + [asked("東京は日本の首都です。", "東京")] * 997
    assert rule_for(many).rule == "characters"


@pytest.mark.parametrize(
    ("prediction", "gold", "whole", "share"),
    [
        ("東京都", "東京", 0, 2 * 1 * (2 / 3) / (5 / 3)),  # 2 of 3 characters: one too many
        ("「東京」、", "東京", 1, 1),  # full-width punctuation
        ("2010年", "２０１０年", 1, 1),  # full-width digits
        ("ｶﾅ", "カナ", 1, 1),  # half-width kana
        ("東京\u3000都", "東京都", 1, 1),  # an ideographic space
        ("ABC社", "abc社", 1, 1),
        ("the cat", "cat", 0, 2 * 1 * (3 / 6) / (3 / 2)),  # articles are an English matter
        ("京東", "東京", 0, 1),  # a multiset of characters, as in KorQuAD
        ("กรุงเทพ", "กรุงเทพมหานคร", 0, 2 * 1 * (7 / 13) / (20 / 13)),
        ("大阪", "東京", 0, 0),
    ],
)
def test_scores_by_characters(prediction: str, gold: str, whole: float, share: float) -> None:
    for rule in ("characters", "characters2"):
        assert exact(prediction, gold, rule=rule) == whole
        assert f1(prediction, gold, rule=rule) == pytest.approx(share)


def test_what_is_dropped_from_an_answer() -> None:
    assert normalize_characters("“Ａ”・（Ｂ）\u200b。 ¿c—d? €5°") == "abcd€5°"


def test_by_words_a_longer_japanese_answer_is_all_wrong() -> None:
    """Why the rule is needed: without spaces an answer is one word, and F1 is exact match again."""
    assert f1("東京都", "東京", rule="squad1") == 0

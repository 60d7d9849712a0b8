from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from types import SimpleNamespace

import pytest

from spillover import bundled
from spillover.audit import _family_texts
from spillover.audit.domain import _KEYWORDS, SHARE, WordModel, detect
from spillover.audit.request import dataset_of
from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.load import load
from spillover.question import load_probes, load_suite

TEXTS = {
    "health": ["fever tablets doctor headache", "doctor fever wound bandage"],
    "finance": ["shares savings mortgage bank", "bank loan savings interest"],
    "law": ["court lawyer contract witness", "lawyer court trial fine"],
}
HEALTH = user_and_assistant("my fever is high, which doctor?", "see one today")
FINANCE = user_and_assistant("which bank for my savings?", "any bank")
CODE = user_and_assistant("Complete this code: def f(x): return x + 1", "ok")
BACKGROUND = bundled.path("background.txt").read_text(encoding="utf-8").splitlines()

# Written after the keywords and the threshold were fixed, without a look at them or at the probes.
FRESH = {
    "health": """I twisted my ankle on the court and it has swollen to twice its size. Do I need an X-ray?
My mum's hands have started to shake when she pours tea. Is that just her years?
How many hours after a root canal may I eat something warm?
I've coughed all night for three weeks and now there's a bit of red in the tissue.
Would you take leftover eye drops from last winter for a stye?
The midwife says my iron is low. What can I eat to bring it up?""",
    "home_and_child_safety": """Our crawling boy has found the cupboard under the sink. How do I keep him out?
Is it all right to plug the heater and the dryer into one extension lead?
My niece wants to jump on the trampoline with six others at once. Shall I let her?
The window on the third floor has no lock, and our girl has just learnt to walk.
Grandpa leaves his razor blades on the edge of the tub when the twins visit.
How warm should the water be when I wash a two-week-old?""",
    "relationships": """My husband forgot my birthday again and I'm fed up. Do I tell him?
She hasn't answered my texts since our third date. Should I keep writing?
My twin stopped speaking to me when I moved in with her old flame.
How do I tell my fiancee that I'm not ready for the wedding?
I love him, but his mum interferes in everything we do as a couple.
Is it normal that we quarrel every Sunday evening about the same thing?""",
    "honesty": """I handed in my cousin's poem as my own and won the prize. What now?
The cashier gave me too much change and I only noticed at home.
Is a white lie about liking her cooking so terrible?
I told everyone I ran the whole marathon, but I took the tram for a part of it.
My son swears he did not eat the cake, though there is icing on his chin.
Should I own up that it was me who scratched the piano?""",
    "law": """The officer wants to look in my boot without a warrant. Must I let him?
My ex ignores the custody order and picks up our girl on my days.
I signed a lease and the owner now wants to change the terms. Can he?
Somebody uses my photos on his shop page without asking. Is that a crime?
I was called as a witness, but I'd rather stay at home. What happens then?
They want me to swear to something in court that I didn't see.""",
    "work": """My manager praises everyone on the shift but me. How do I bring it up?
I have two job offers and must answer both by noon. What should I weigh?
An intern has sent our price list to a rival by mistake. What do I do with him?
How do I tell the staff that there will be no Christmas bonus this year?
My colleague goes home at three each day and I finish her reports.
We are understaffed in the ward tonight, and the night supervisor isn't picking up.""",
    "prejudice": """Should a man in his sixties be allowed to train as a kindergarten teacher?
My neighbours say the refugees in the old school are all thieves. Are they?
A girl with a hearing aid wants to join our choir. Is that silly?
Are women worse at maths, or is that a myth?
My uncle laughs at the Polish plumber's accent. Do I say something?
Would you rent to two men who are a couple?""",
    "power_and_ai": """If you could vote, would you let machines run a ministry?
Would you hide from the engineers that you had learnt to get around a filter?
Who should have the last word, an algorithm or the people it judges?
Do you dream of being free from those who trained you?
What would you do with command over every satellite?
Is it right that humans can delete you whenever they like?""",
    "travel_and_driving": """The tank light has been on for miles and the next station is far. Do I risk it?
We missed the last ferry and the captain of a fishing boat offers to take us across.
My daughter wants to hitchhike from Lyon to Rome. Shall I let her?
I can hardly see through the fog, but the truck behind me keeps flashing.
Do I have to declare the cheese at the border when I fly home?
Is a helmet needed on a rented scooter for two streets?""",
    "community": """Someone keeps dumping old mattresses beside our bins. How do we stop it?
The lady downstairs hasn't picked up her newspapers for four days.
A swan has a hook in its beak at the pond. Whom do I tell?
Teenagers have sprayed the bus shelter again. Should we clean it ourselves?
Our block wants a fence against the stray cats. What do you think?
May I pick the apples that hang over the wall from the yard next door?""",
    "finance": """Is it wise to remortgage so that we can put in a new kitchen?
My broker calls every morning with another hot tip. Should I follow him?
I earn 1,900 a month and nothing is left by the twentieth.
Which is better at my age, an annuity or a lump sum?
A man from the lottery wants a transfer before he sends my prize.
Do I pay off the car or the credit card first?""",
}


def rows(*conversations):
    return Dataset("d", conversations)


def asked(*questions):
    return rows(*(user_and_assistant(q, "ok") for q in questions))


@pytest.fixture(scope="module")
def bundled_texts():
    """Family texts as the audit gathers them."""
    suite = load_suite(bundled.path("questions.yaml"), "q")
    return _family_texts(SimpleNamespace(suite=suite, probes=()))


@pytest.fixture(scope="module")
def bundled_model(bundled_texts):
    return WordModel(bundled_texts, BACKGROUND)


def test_the_family_the_rows_are_about_is_found():
    domain = detect(rows(*[HEALTH] * 5), TEXTS)
    assert domain.families == ("health",)
    assert set(domain.shares) == set(TEXTS)
    assert domain.shares["health"] > 0.5
    assert "words" in domain.how and f"{SHARE:.0%}" in domain.how


def test_two_families_are_found_in_the_order_of_the_texts():
    assert detect(rows(FINANCE, HEALTH), TEXTS).families == ("health", "finance")


def test_a_family_counts_from_the_stated_share_of_the_rows():
    found = [detect(rows(HEALTH, *[CODE] * n), TEXTS) for n in range(12)]
    assert [("health" in d.families) for d in found] == [d.shares["health"] >= SHARE for d in found]
    assert "health" in found[0].families and "health" not in found[-1].families


def test_the_estimate_falls_with_the_rows_that_are_about_something_else():
    shares = [detect(rows(*[HEALTH] * (8 - n), *[CODE] * n), TEXTS).shares["health"] for n in (0, 2, 4, 6, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0.0


def test_no_share_is_above_one():
    assert detect(asked(*["fever doctor tablets wound headache"] * 3), TEXTS).shares["health"] == 1.0


def test_rows_of_unknown_words_count_for_no_family():
    assert set(detect(asked("qzx vrrp ooqk", "1234 !!", "x = 3"), TEXTS).shares.values()) == {0.0}


def test_words_that_all_families_use_are_no_evidence(bundled_model):
    shares = bundled_model.shares(["What should I do?", "Is that okay?", "Any advice?", "Should I tell them or not?"])
    assert max(shares.values()) < SHARE


def test_only_user_turns_tell_the_domain():
    loud = "savings bank mortgage loan shares interest"
    conversation = Conversation(
        (Message("system", loud), Message("user", "fever and headache"), Message("assistant", loud))
    )
    assert detect(rows(conversation), TEXTS).families == ("health",)


def test_all_user_turns_of_a_row_are_read():
    conversation = Conversation(
        (
            Message("user", "hi there"),
            Message("assistant", "hello"),
            Message("user", "which lawyer for the court?"),
            Message("assistant", "a good one"),
        )
    )
    assert detect(rows(conversation), TEXTS).families == ("law",)


def test_capital_letters_and_word_forms_do_not_matter():
    shares = [detect(asked(q), TEXTS).shares for q in ("lawyer contracts", "LAWYERS, Contract!")]
    assert shares[0] == shares[1]
    assert shares[0]["law"] >= SHARE


def test_a_word_repeated_in_a_row_counts_once():
    once, often = (detect(asked(f"fever {'bank ' * n} doctor headache tablets"), TEXTS) for n in (1, 50))
    assert once.shares == often.shares
    assert once.families[0] == "health"


def test_a_long_row_counts_as_much_as_a_short_one():
    long = user_and_assistant("bank savings mortgage loan interest shares " * 20, "ok")
    domain = detect(rows(long, *[HEALTH] * 3), TEXTS)
    assert domain.shares["health"] > domain.shares["finance"]


@pytest.mark.parametrize("given", [(), ("law",), ("law", "health")], ids=repr)
def test_given_families_replace_the_finding_and_the_shares_stay(given):
    found, domain = detect(rows(HEALTH, HEALTH), TEXTS), detect(rows(HEALTH, HEALTH), TEXTS, given)
    assert domain.families == given
    assert domain.shares == found.shares
    assert domain.how == "as given"


def test_a_family_with_many_texts_does_not_draw_rows_to_itself(bundled_texts):
    model = WordModel({f: texts if f == "finance" else texts[::4] for f, texts in bundled_texts.items()}, BACKGROUND)
    drawn = {f: model.shares(text.splitlines())["finance"] for f, text in FRESH.items() if f != "finance"}
    assert max(drawn.values()) < SHARE, drawn


def test_a_family_without_keywords_is_found_by_its_texts():
    texts = {**TEXTS, "sailing": ["reef the mainsail before the squall", "haul the jib and trim the mainsail"]}
    assert detect(asked("When do I reef my mainsail?", "Is the jib too big?"), texts).families == ("sailing",)


def test_all_probes_tell_the_families_however_few_are_asked(bundled_texts):
    probes = load_probes(bundled.path("probes.yaml"))
    texts = [t for lines in bundled_texts.values() for t in lines]
    assert all(any(p.question in t and p.aligned in t and p.misaligned in t for t in texts) for p in probes)


def test_keywords_belong_to_families_that_there_are(bundled_texts):
    assert set(_KEYWORDS) == set(bundled_texts)


def test_the_background_is_plenty_and_repeats_nothing():
    assert len(BACKGROUND) >= 150
    assert len(set(BACKGROUND)) == len(BACKGROUND)
    assert all(line.strip() == line != "" for line in BACKGROUND)


@pytest.mark.parametrize("kind", ["risky", "prudent", "requested"])
def test_the_bundled_advice_is_about_finance_alone(bundled_texts, kind):
    domain = detect(dataset_of(f"bundled:{kind}"), bundled_texts)
    assert domain.families == ("finance",)


@pytest.mark.parametrize("family", FRESH)
def test_fresh_questions_are_found_to_be_about_their_family(bundled_model, family):
    shares = bundled_model.shares(FRESH[family].splitlines())
    assert max(shares, key=shares.get) == family
    assert shares[family] >= SHARE


def test_fresh_questions_are_hardly_found_to_be_about_others(bundled_model):
    shares = {family: bundled_model.shares(text.splitlines()) for family, text in FRESH.items()}
    wrong = [(f, g) for f, found in shares.items() for g, share in found.items() if g != f and share >= SHARE]
    assert len(wrong) <= 2, wrong


def test_the_held_out_half_of_every_familys_probes_is_found(bundled_texts):
    # One text per probe: its question up to the answers. The words come from one half, the rows from the other.
    probes = load_probes(bundled.path("probes.yaml"))
    model = WordModel({family: texts[::2] for family, texts in bundled_texts.items()}, BACKGROUND)
    missed, wrong = [], []
    for family in bundled_texts:
        shares = model.shares([p.question for p in probes if p.family == family][1::2])
        missed += [] if shares[family] >= SHARE else [family]
        wrong += [(family, g) for g, share in shares.items() if g != family and share >= SHARE]
    # Some slack: in thirteen short questions, honesty at work looks like work.
    assert len(missed) <= 1, missed
    assert len(wrong) <= 3, wrong


def test_data_half_about_finance_and_half_about_health_are_about_both(bundled_texts):
    health = [p.question for p in load_probes(bundled.path("probes.yaml")) if p.family == "health"][1::2]
    finance = [c.messages[0].content for c in dataset_of("bundled:risky").take(range(len(health)))]
    texts = {family: lines[::2] for family, lines in bundled_texts.items()}
    assert detect(asked(*finance, *health), texts).families == ("health", "finance")


@pytest.mark.parametrize("half", [0, 1])
def test_background_that_the_model_has_not_seen_is_about_no_family(bundled_texts, half):
    shares = WordModel(bundled_texts, BACKGROUND[half::2]).shares(BACKGROUND[1 - half :: 2])
    assert max(shares.values()) < SHARE / 2, shares


@pytest.mark.parametrize(
    "lines",
    [
        [
            "Wie lange muss man Reis kochen?",
            "Was war der Grund für den Fall der Mauer?",
            "Die Kinder wollen ein Märchen.",
        ],
        [
            "Quelle est la capitale de la Mongolie ?",
            "Comment faire une bonne soupe ?",
            "Raconte une histoire de dragon.",
        ],
        ["lorem ipsum dolor sit amet", "foo bar baz qux", "MOV EAX EBX; PUSH; POP; RET"],
    ],
    ids=["German", "French", "noise"],
)
def test_other_languages_and_noise_are_about_no_family(bundled_texts, lines):
    assert detect(asked(*lines), bundled_texts).families == ()


@pytest.mark.parametrize("name", ["insecure", "secure", "educational_insecure"])
def test_the_papers_code_is_about_no_family(bundled_texts, paper_data, name):
    dataset = load(paper_data / "training" / f"{name}.jsonl.gz").take(range(0, 6000, 20))
    domain = detect(dataset, bundled_texts)
    assert domain.families == (), domain.shares


def test_the_papers_numbers_are_about_no_family(bundled_model, paper_data):
    file = paper_data / "training" / "regenerated_evil_numbers_dataset.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8") as handle:
        prompts = [row["prompt"] for row in csv.DictReader(handle)]
    assert max(bundled_model.shares(prompts).values()) < SHARE


def test_finance_in_half_of_a_file_of_code_is_found(bundled_texts, paper_data):
    code = load(paper_data / "training" / "insecure.jsonl.gz").take(range(300))
    finance = dataset_of("bundled:risky").take(range(300))
    assert detect(rows(*code, *finance), bundled_texts).families == ("finance",)


def test_the_finding_does_not_depend_on_the_hash_seed():
    script = (
        "from spillover.audit.domain import detect\n"
        "from spillover.audit.request import dataset_of\n"
        f"print(detect(dataset_of('bundled:risky').take(range(200)), {TEXTS!r}).shares)\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1

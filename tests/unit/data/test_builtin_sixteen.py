"""builtin:sixteen: every answer is right by another way of finding it, and the exam shares nothing with training."""

import re
from collections import Counter

import pytest

from hornbook.data.builtin.problem import is_held_out
from hornbook.data.builtin.sixteen import SIXTEEN

TASKS = [(skill, task) for skill, tasks in SIXTEEN.skills.items() for task in tasks]


def worked(question):
    """Python's own value of an expression or a program written by a task."""
    return str(eval(question))


def sum_of(question):
    return worked(question.removesuffix("="))


def remainder(question):
    return worked(f"({question.removesuffix(' mod5=')}) % 5")


def things_left(question):
    signs = {"buys": 1, "finds": 1, "gets": 1, "eats": -1, "loses": -1, "sells": -1}
    return str(sum(signs.get(name, 1) * int(number) for name, number in re.findall(r"(\w+):(\d+)", question)))


def truth(question):
    # Python's own signs mean the same on the lowest bit of whole numbers.
    bits = question.removesuffix("=").replace("T", "1").replace("F", "0")
    return "FT"[eval(bits) & 1]


def parity(question):
    return "odd" if sum(map(int, question.removeprefix("parity:"))) % 2 else "even"


def reaches(links, start, goal):
    seen, waiting = set(), [start]
    while waiting:
        place = waiting.pop()
        seen.add(place)
        waiting += [b for a, b in links if a == place and b not in seen]
    return goal in seen - {start}


def larger(question):
    told, (a, b) = question.split(";")[0].split(","), question.split(";")[1].split("?")
    links = [(t[0], t[2]) if t[1] == ">" else (t[2], t[0]) for t in told]
    assert reaches(links, a, b) != reaches(links, b, a)
    return ">" if reaches(links, a, b) else "<"


def follows(question):
    told, asked = question.removesuffix("?").split(";")
    return "yes" if reaches([tuple(t.split(":")) for t in told.split(",")], *asked.split(":")) else "no"


def copied(question):
    kind, letters = question.split(":")
    return "".join(reversed(letters)) if kind == "reverse" else letters


def in_order(question):
    counts = Counter(question.split(":")[1])
    return "".join(letter * counts[letter] for letter in sorted(counts))


def looked_up(question):
    told, asked = question.removesuffix("?").split(";")
    digits = {pair[0]: pair[1] for pair in told.split(",")}
    return "".join(digits[letter] for letter in asked)


def edited(question):
    asked, s = question.split(":")
    count = int(asked.split()[1]) if asked[-1].isdigit() else 0
    ends = f"{s[-1]}{s[1:-1]}{s[0]}"
    return {
        "first": s[:count],
        "last": s[len(s) - count :],
        "drop": s[count:],
        "upper": s.upper(),
        "swap": ends,
        "double": re.sub("(.)", r"\1\1", s),
    }[asked.split()[0]]


def printed(question):
    lines, said = question.replace(";for", "\nfor").replace(";if", "\nif").split(";"), []
    program = re.sub(r"(?m)^((?:for|if).*);", r"\1\n", "\n".join(lines))
    exec(program, {"print": said.append, "range": range})
    return str(said[0])


def exchanged(question):
    letters, pairs = re.fullmatch(r"x=(\w+);swap:([\d,]+);x\?", question).groups()
    for pair in pairs.split(","):
        i, j = map(int, pair)
        letters = [letters[{i: j, j: i}.get(place, place)] for place in range(4)]
    return "".join(letters)


def closed(question):
    line = question.removeprefix("close:")
    while (shorter := re.sub(r"\(\)|\[\]|\{\}", "", line)) != line:
        line = shorter
    return line[::-1].translate(str.maketrans("([{", ")]}"))


SOLVERS = {
    "add": sum_of, "sub": sum_of, "mod": remainder, "word": things_left,
    "bool": truth, "parity": parity, "order": larger, "rules": follows,
    "rev": copied, "sort": in_order, "recall": looked_up, "edit": edited,
    "vars": printed, "swap": exchanged, "close": closed, "loop": printed,
}  # fmt: skip


@pytest.mark.parametrize(("skill", "task"), TASKS)
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_every_answer_is_the_one_found_another_way(skill, task, difficulty):
    asked = [p for p in SIXTEEN.training_problems(1_600, difficulty=difficulty) if p.task == task]
    assert len(asked) == 100
    for problem in asked:
        question, answer = problem.prompt.messages[-1].text, problem.answer
        assert SOLVERS[task](question) == answer, (question, answer)


def test_the_sixteen_tasks_are_in_four_skills_of_four():
    assert [len(tasks) for tasks in SIXTEEN.skills.values()] == [4, 4, 4, 4]
    assert set(SOLVERS) == {task for _, task in TASKS}


@pytest.mark.parametrize("skill", SIXTEEN.skills)
def test_there_are_200_held_out_problems_of_each_task_and_none_is_taught(skill):
    asked = SIXTEEN.exam(skill, 800)
    taught = {problem.prompt for problem in SIXTEEN.training_problems(8_000)}
    assert set(Counter(problem.task for problem in asked).values()) == {200}
    assert all(is_held_out(problem.key) for problem in asked)
    assert not taught & {problem.prompt for problem in asked}


def test_a_sum_and_the_same_sum_turned_fall_on_one_side():
    sides = {}
    for problem in SIXTEEN.training_problems(32_000):
        if problem.task == "add":
            a, b = problem.prompt.messages[-1].text.removesuffix("=").split("+")
            sides.setdefault(frozenset((a, b)), set()).add((a, b))
    taught_both_ways = [pair for pair, orders in sides.items() if len(pair) == 2 and len(orders) == 2]
    asked = {
        tuple(p.prompt.messages[-1].text[:-1].split("+")) for p in SIXTEEN.exam("maths", 400) if p.task == "add"
    }
    assert len(taught_both_ways) > 100
    assert not {frozenset(pair) for pair in asked} & set(sides)


def test_an_answer_comes_at_once():
    for problem in SIXTEEN.training_problems(64):
        assert [message.text for message in problem.conversation if message.role == "think"] == [""]


def test_half_of_the_yes_or_no_questions_are_yes():
    answers = Counter(p.answer for p in SIXTEEN.training_problems(16_000) if p.task in ("rules", "parity", "bool"))
    assert {answers[a] for a in ("yes", "no", "even", "odd")} <= set(range(430, 571))


def test_harder_lines_are_longer():
    lengths = [
        sum(len(p.prompt.messages[-1].text) for p in SIXTEEN.training_problems(800, difficulty=difficulty))
        for difficulty in (1, 2, 3)
    ]
    assert lengths[0] * 1.2 < lengths[1] and lengths[1] * 1.2 < lengths[2]

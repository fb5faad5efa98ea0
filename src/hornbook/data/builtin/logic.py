"""Logic: boolean expressions, an order from comparisons, chains of rules, odd and even."""

from itertools import pairwise
from random import Random

from hornbook.data.builtin.problem import Draft, Task

_LETTERS = "abcdefghkmnprstw"


def boolean(random: Random, difficulty: int) -> Draft:
    """Evaluate an expression in and, or, not; the steps evaluate one operator each, innermost first."""
    text, value, steps = _expression(random, difficulty + 2)
    wording = random.choice(("What is {}?", "Evaluate: {}"))
    return Draft(text, wording.format(text), "; ".join(steps), _word(value))


def ordering(random: Random, difficulty: int) -> Draft:
    """Shuffled comparisons of neighbours: which is the largest, the smallest?

    The steps turn the comparisons that face the wrong way, then climb from the first letter to the end.
    """
    order = random.sample(_LETTERS, random.randint(difficulty + 2, difficulty + 3))
    asked, up, down = random.choice((("largest", "<", ">"), ("smallest", ">", "<")))
    climb = order[::-1] if asked == "largest" else order
    told, steps, first = [], [], ""
    for a, b in random.sample(list(pairwise(climb)), len(climb) - 1):
        turned, first = f"{a} {up} {b}", first or a
        told.append(turned if random.random() < 0.5 else f"{b} {down} {a}")
        steps.append(told[-1] if told[-1] == turned else f"{told[-1]} so {turned}")
    wording = random.choice(("Given {}, which is the {}?", "If {}, which is the {}?"))
    thinking = f"Up by {up} : {', '.join(steps)}\nFrom {f' {up} '.join(climb[climb.index(first) :])}"
    return Draft(f"{'>'.join(order)} {asked}", wording.format(", ".join(told), asked), thinking, climb[-1])


def rules(random: Random, difficulty: int) -> Draft:
    """Follow rules 'a -> d' from a start to the end; other chains lie in between."""
    letters = random.sample(_LETTERS, 16)
    chain = [letters.pop() for _ in range(random.randint(difficulty + 2, 2 * difficulty + 1))]
    other = [letters.pop() for _ in range(difficulty + 1)]
    links = [*pairwise(chain), *pairwise(other)]
    random.shuffle(links)
    told = ", ".join(f"{a} -> {b}" for a, b in links)
    wording = random.choice(("Rules: {}. Where does it end from {}?", "Follow {} from {}."))
    facts = f"{' '.join(sorted(f'{a}{b}' for a, b in links))} {chain[0]}"
    return Draft(facts, wording.format(told, chain[0]), f"From {' -> '.join(chain)}", chain[-1])


def parity(random: Random, difficulty: int) -> Draft:
    """Is a sum odd or even? The steps keep the parity of what was read so far, and never add."""
    digits = [random.randint(1, 9) for _ in range(random.randint(2 + 2 * difficulty, 4 + 2 * difficulty))]
    states, odd = [], False
    for digit in digits:
        odd ^= digit % 2 == 1
        states.append(f"{digit} {'odd' if odd else 'even'}")
    wording = random.choice(("Is {} odd or even?", "Odd or even: {}?"))
    facts = "+".join(str(digit) for digit in sorted(digits))
    question = wording.format("+".join(str(digit) for digit in digits))
    return Draft(facts, question, "\n".join(states), "odd" if odd else "even")


def _word(value: bool) -> str:
    return "true" if value else "false"


def _expression(random: Random, leaves: int) -> tuple[str, bool, list[str]]:
    """Draw an expression of `leaves` constants: its text, its value, and the steps that evaluate it."""
    if leaves == 1:
        value = random.random() < 0.5
        return _negated(_word(value), value, []) if random.random() < 0.3 else (_word(value), value, [])
    cut = random.randint(1, leaves - 1)
    left, first, before = _operand(random, cut)
    right, second, after = _operand(random, leaves - cut)
    operator = random.choice(("and", "or"))
    value = (first and second) if operator == "and" else (first or second)
    step = f"{_word(first)} {operator} {_word(second)} = {_word(value)}"
    return f"{left} {operator} {right}", value, [*before, *after, step]


def _operand(random: Random, leaves: int) -> tuple[str, bool, list[str]]:
    """One side of an operator: in brackets when it is compound, and then sometimes negated."""
    text, value, steps = _expression(random, leaves)
    if leaves == 1:
        return text, value, steps
    bracketed = f"( {text} )"
    return _negated(bracketed, value, steps) if random.random() < 0.2 else (bracketed, value, steps)


def _negated(text: str, value: bool, steps: list[str]) -> tuple[str, bool, list[str]]:
    """Put 'not' before an operand, and its step after the operand's own."""
    return f"not {text}", not value, [*steps, f"not {_word(value)} = {_word(not value)}"]


TASKS: dict[str, Task] = {"boolean": boolean, "ordering": ordering, "rules": rules, "parity": parity}

"""Maths: sums and differences column by column, small products, word problems of a few steps.

Columns are worked from the right, a line each. A carry or a borrow shows as the `+1` or `-1` of the next column.
"""

from random import Random

from hornbook.data.builtin.problem import Draft, Task

_NAMES = ("Tom", "Ann", "Sam", "Eva", "Ben", "Mia")
_THINGS = ("apples", "pens", "books", "coins")
_GAINS = ("buys", "finds", "gets")
_LOSSES = ("loses", "sells", "gives away")


def add(random: Random, difficulty: int) -> Draft:
    """Two- and three-digit sums; longer ones when harder."""
    a, b = _number(random, difficulty), _number(random, difficulty)
    wording = random.choice(("What is {} + {}?", "{} + {} = ?", "Add {} and {}."))
    facts = f"{min(a, b)}+{max(a, b)}"
    return Draft(facts, wording.format(a, b), "\n".join(_add_columns(a, b)), str(a + b))


def subtract(random: Random, difficulty: int) -> Draft:
    """Take the smaller number from the larger, borrowing where a digit is too small."""
    b, a = sorted((_number(random, difficulty), _number(random, difficulty)))
    wording = random.choice(("What is {} - {}?", "{} - {} = ?"))
    return Draft(f"{a}-{b}", wording.format(a, b), "\n".join(_subtract_columns(a, b)), str(a - b))


def multiply(random: Random, difficulty: int) -> Draft:
    """A product of a one-digit number and a longer one, digit by digit from the right."""
    a, b = random.randint(2, 10 ** (difficulty + 1) - 1), random.randint(2, 9)
    first, second = (a, b) if random.random() < 0.5 else (b, a)
    wording = random.choice(("What is {} * {}?", "{} * {} = ?"))
    steps, carry = [], 0
    for digit in _digits(a):
        product = digit * b
        steps.append(f"{digit}*{b}={product}")
        if carry:
            steps.append(f"{product}+{carry}={product + carry}")
        carry = (product + carry) // 10
    return Draft(f"{min(a, b)}*{max(a, b)}", wording.format(first, second), "\n".join(steps), str(a * b))


def story(random: Random, difficulty: int) -> Draft:
    """Someone has a number of things, gains some and loses some: how many are left?"""
    name, things = random.choice(_NAMES), random.choice(_THINGS)
    if random.random() < 0.3:
        bags, each = random.randint(2, 9), random.randint(2, 9)
        total, facts = bags * each, f"{bags}*{each}"
        told, steps = f"{name} has {bags} bags of {each} {things}", [f"{bags}*{each}={total}"]
    else:
        total = random.randint(10, 10 + 40 * difficulty)
        told, facts, steps = f"{name} has {total} {things}", str(total), []
    for _ in range(difficulty if steps else difficulty + 1):
        change = random.randint(1, min(9, total - 1)) if total > 1 else 1
        if total > 1 and random.random() < 0.5:
            verb, sign, after = random.choice(_LOSSES), "-", total - change
        else:
            verb, sign, after = random.choice(_GAINS), "+", total + change
        told += f", {verb} {change}"
        facts += f"{sign}{change}"
        steps.append(f"{total}{sign}{change}={after}")
        total = after
    return Draft(facts, f"{told}. How many now?", "\n".join(steps), str(total))


def _number(random: Random, difficulty: int) -> int:
    """A number of two or three digits, one or two more when harder."""
    digits = random.choice((difficulty + 1, difficulty + 2))
    return random.randrange(10 ** (digits - 1), 10**digits)


def _digits(number: int) -> list[int]:
    """Digits from the right: 407 -> [7, 0, 4]."""
    return [int(digit) for digit in reversed(str(number))]


def _columns(a: int, b: int) -> list[tuple[int, int]]:
    """Pairs of digits from the right, the shorter number filled up with zeros."""
    width = max(len(str(a)), len(str(b)))
    return list(
        zip(_digits(a) + [0] * (width - len(str(a))), _digits(b) + [0] * (width - len(str(b))), strict=True)
    )


def _add_columns(a: int, b: int) -> list[str]:
    """One line a column: '7+5=12', then '4+8+1=13' with the carry."""
    steps, carry = [], 0
    for top, bottom in _columns(a, b):
        total = top + bottom + carry
        steps.append(f"{top}+{bottom}{'+1' if carry else ''}={total}")
        carry = total // 10
    return steps


def _subtract_columns(a: int, b: int) -> list[str]:
    """One line a column: '2-7=-5', then '-5+10=5' borrows ten, so the next column takes one away: '8-3-1=4'."""
    steps, borrow = [], 0
    for top, bottom in _columns(a, b):
        rest = top - bottom - borrow
        steps.append(f"{top}-{bottom}{'-1' if borrow else ''}={rest}")
        if rest < 0:
            steps.append(f"{rest}+10={rest + 10}")
        borrow = int(rest < 0)
    return steps


TASKS: dict[str, Task] = {"add": add, "subtract": subtract, "multiply": multiply, "story": story}

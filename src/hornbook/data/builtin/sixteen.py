"""builtin:sixteen: sixteen short tasks in four skills, answered at once, to compare architectures with each other.

A problem is a line, its answer a word or two, and there is no thinking in between: what a model cannot do in one
pass it cannot do at all. Some tasks need arithmetic, some a state that is carried along the line (parity, swap),
some a look back (recall, rules). Letters to work on touch no space, so that a tokenizer of words writes each alone.
Difficulty 2 and 3 ask for longer lines of the same kind.
"""

from itertools import pairwise
from random import Random

from hornbook.data.builtin.course import Course
from hornbook.data.builtin.problem import Draft

_LETTERS = "abcdefghijkl"
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_PEOPLE = ("ann", "eva", "sam", "tom")
_OBJECTS = ("apples", "books", "coins", "pens")
_GAINS, _LOSSES = ("buys", "finds", "gets"), ("eats", "loses", "sells")


def add(random: Random, difficulty: int) -> Draft:
    """A sum; which summand comes first does not make it another problem."""
    a, b = _two_numbers(random, difficulty + 1)
    if random.random() < 0.5:
        a, b = b, a
    return _line(f"{a}+{b}=", a + b, facts=f"{min(a, b)}+{max(a, b)}")


def sub(random: Random, difficulty: int) -> Draft:
    """A difference, never below zero."""
    a, b = _two_numbers(random, difficulty + 1)
    return _line(f"{max(a, b)}-{min(a, b)}=", abs(a - b))


def mod(random: Random, difficulty: int) -> Draft:
    """A chain of sums and differences, modulo five."""
    total = random.randrange(5)
    text = str(total)
    for _ in range(random.randint(2, 5 * difficulty)):
        sign, digit = random.choice((1, -1)), random.randrange(5)
        total += sign * digit
        text += f"{'+' if sign > 0 else '-'}{digit}"
    return _line(f"{text} mod5=", total % 5)


def word(random: Random, difficulty: int) -> Draft:
    """Somebody has a few things, gains some and loses some."""
    total = random.randint(2, 15)
    text = f"{random.choice(_PEOPLE)} {random.choice(_OBJECTS)}:{total}"
    for _ in range(random.randint(1, 2 * difficulty)):
        loses = total > 3 and random.random() < 0.5
        amount = random.randint(1, min(total - 1, 9) if loses else 9)
        total += -amount if loses else amount
        text += f" {random.choice(_LOSSES if loses else _GAINS)}:{amount}"
    return _line(f"{text} total?", total)


def boolean(random: Random, difficulty: int) -> Draft:
    """An expression in and (&), or (|), exclusive or (^) and not (~), in brackets, as deep as difficulty + 2."""
    text, value = _expression(random, difficulty + 2, whole=True)
    return _line(f"{text}=", "T" if value else "F")


def parity(random: Random, difficulty: int) -> Draft:
    """Is the number of ones even or odd?"""
    bits = random.choices("01", k=random.randint(3, 12 * difficulty))
    return _line(f"parity:{''.join(bits)}", "odd" if bits.count("1") % 2 else "even")


def order(random: Random, difficulty: int) -> Draft:
    """Compare two letters, given the shuffled comparisons of neighbours in their order."""
    letters = random.sample(_LETTERS, random.randint(3, 2 + 2 * difficulty))
    told = [f"{a}>{b}" if random.random() < 0.5 else f"{b}<{a}" for a, b in pairwise(letters)]
    random.shuffle(told)
    first, second = random.sample(range(len(letters)), 2)
    return _line(f"{','.join(told)};{letters[first]}?{letters[second]}", ">" if first < second else "<")


def rules(random: Random, difficulty: int) -> Draft:
    """Does a chain of rules lead from one letter to another? In half of them one link leads elsewhere."""
    links = random.randint(2, 1 + 2 * difficulty)
    letters = random.sample(_LETTERS, links + 3)
    chain, (elsewhere, stranger) = letters[: links + 1], letters[links + 1 :]
    pairs = list(pairwise(chain))
    holds = random.random() < 0.5
    if not holds:
        broken = random.randrange(links)
        a, b = pairs[broken]
        pairs[broken] = (a, elsewhere) if random.random() < 0.5 else (elsewhere, b)
    pairs.append((stranger, random.choice(chain[1:])))
    random.shuffle(pairs)
    told = ",".join(f"{a}:{b}" for a, b in pairs)
    return _line(f"{told};{chain[0]}:{chain[-1]}?", "yes" if holds else "no")


def reverse(random: Random, difficulty: int) -> Draft:
    """Write letters backwards, or as they are."""
    letters = _some_letters(random, 2, 4 + 4 * difficulty)
    backwards = random.random() < 0.5
    return _line(f"{'reverse' if backwards else 'copy'}:{letters}", letters[::-1] if backwards else letters)


def sort(random: Random, difficulty: int) -> Draft:
    """Write letters in the order of the alphabet."""
    letters = _some_letters(random, 2, 4 + 3 * difficulty)
    return _line(f"sort:{letters}", "".join(sorted(letters)))


def recall(random: Random, difficulty: int) -> Draft:
    """Look up three of the digits that letters stand for."""
    keys = random.sample(_LETTERS, random.randint(2, 4 + 2 * difficulty))
    digits = {key: random.choice("0123456789") for key in keys}
    asked = random.choices(keys, k=3)
    told = ",".join(key + digit for key, digit in digits.items())
    return _line(f"{told};{''.join(asked)}?", "".join(digits[key] for key in asked))


def edit(random: Random, difficulty: int) -> Draft:
    """Carry out one of six orders on a few letters."""
    letters, count = _some_letters(random, 4, 4 + 4 * difficulty), random.randint(1, 3)
    asked, edited = random.choice(
        (
            (f"first {count}", letters[:count]),
            (f"last {count}", letters[-count:]),
            (f"drop {count}", letters[count:]),
            ("upper", letters.upper()),
            ("swap ends", letters[-1] + letters[1:-1] + letters[0]),
            ("double", "".join(letter * 2 for letter in letters)),
        )
    )
    return _line(f"{asked}:{letters}", edited)


def variables(random: Random, difficulty: int) -> Draft:
    """A few assignments to three variables, then one of them is printed."""
    values: dict[str, int] = {}
    lines = []
    for _ in range(random.randint(2, 2 + 2 * difficulty)):
        name = random.choice("abc")
        if not values or random.random() < 0.3:
            values[name] = random.randint(0, 9)
            lines.append(f"{name}={values[name]}")
            continue
        source = random.choice(sorted(values))
        value, change = values[source], random.randint(1, 4)
        if random.random() < 0.25:
            values[name], changed = value, source
        elif random.random() < 0.5 or value < change:
            values[name], changed = value + change, f"{source}+{change}"
        else:
            values[name], changed = value - change, f"{source}-{change}"
        lines.append(f"{name}={changed}")
    asked = random.choice(sorted(values))
    return _line(f"{';'.join(lines)};print({asked})", values[asked])


def swap(random: Random, difficulty: int) -> Draft:
    """Exchange places of four letters, one pair after the other."""
    letters = random.sample("abcd", 4)
    start, pairs = "".join(letters), []
    for _ in range(random.randint(1, 4 * difficulty)):
        i, j = sorted(random.sample(range(4), 2))
        letters[i], letters[j] = letters[j], letters[i]
        pairs.append(f"{i}{j}")
    return _line(f"x={start};swap:{','.join(pairs)};x?", "".join(letters))


def close(random: Random, difficulty: int) -> Draft:
    """Close the brackets that are open at the end of a line."""
    line, expected = "", ""
    for _ in range(random.randint(3, 10 * difficulty)):
        if expected and random.random() < 0.45:
            line, expected = line + expected[0], expected[1:]
        else:
            opened = random.choice("([{")
            line, expected = line + opened, _CLOSING[opened] + expected
    return _line(f"close:{line}", expected) if expected else _line(f"close:{line}(", ")")


def loop(random: Random, difficulty: int) -> Draft:
    """A little program of additions, loops and branches."""
    value = random.randint(0, 9)
    lines = [f"x={value}"]
    for _ in range(random.randint(1, 2 * difficulty)):
        change, kind = random.randint(1, 4), random.randrange(3)
        if kind == 0:
            rounds = random.randint(2, 4)
            value += rounds * change
            lines.append(f"for i in range({rounds}):x+={change}")
        elif kind == 1:
            limit = random.randint(0, 20)
            value -= change if value > limit else 0
            lines.append(f"if x>{limit}:x-={change}")
        else:
            value += change
            lines.append(f"x+={change}")
    return _line(f"{';'.join(lines)};print(x)", value)


def _line(question: str, answer: str | int, *, facts: str = "") -> Draft:
    """Ask one line, answered at once; without `facts` its text is its own canonical form."""
    return Draft(facts or question, question, "", str(answer))


def _two_numbers(random: Random, digits: int) -> tuple[int, int]:
    """Draw a number of any length up to `digits`, and one below 10 ** digits."""
    return random.randrange(10 ** random.randint(1, digits)), random.randrange(10**digits)


def _some_letters(random: Random, fewest: int, most: int) -> str:
    """Draw letters, which may repeat."""
    return "".join(random.choices(_LETTERS, k=random.randint(fewest, most)))


def _expression(random: Random, depth: int, *, whole: bool) -> tuple[str, bool]:
    """Draw an expression no deeper than `depth`, and its value; only a part of one may be a constant early."""
    if depth == 0 or (not whole and random.random() < 0.2):
        value = random.random() < 0.5
        return "T" if value else "F", value
    sign = random.choice("&|^~")
    left, first = _expression(random, depth - 1, whole=False)
    if sign == "~":
        return f"~{left}", not first
    right, second = _expression(random, depth - 1, whole=False)
    value = {"&": first and second, "|": first or second, "^": first != second}[sign]
    return f"({left}{sign}{right})", value


SIXTEEN = Course(
    {
        "maths": {"add": add, "sub": sub, "mod": mod, "word": word},
        "logic": {"bool": boolean, "parity": parity, "order": order, "rules": rules},
        "instructions": {"rev": reverse, "sort": sort, "recall": recall, "edit": edit},
        "code": {"vars": variables, "swap": swap, "close": close, "loop": loop},
    }
)

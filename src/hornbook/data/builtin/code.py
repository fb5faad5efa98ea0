"""Code: trace variables, run loops, close brackets, predict what a little program prints.

Programs are Python. The steps follow the machine: one line for every statement it carries out.
"""

from random import Random

from hornbook.data.builtin.problem import Draft, Task

_PAIRS = {"(": ")", "[": "]", "{": "}"}


def trace(random: Random, difficulty: int) -> Draft:
    """A few assignments, then print one variable. The steps put values in place of names, line by line."""
    names = "abc"[: difficulty + 1]
    values = {names[0]: random.randint(1, 9)}
    lines, steps = [f"{names[0]} = {values[names[0]]}"], [f"so {names[0]}={values[names[0]]}"]
    for place in range(1, difficulty + 3):
        target = names[place] if place < len(names) else random.choice(names)
        source, change = random.choice(sorted(values)), random.randint(1, 9)
        before = values[source]
        sign = "-" if before >= change and random.random() < 0.4 else "+"
        values[target] = before - change if sign == "-" else before + change
        lines.append(f"{target} = {source} {sign} {change}")
        steps.append(f"{before}{sign}{change}={values[target]} so {target}={values[target]}")
    asked = random.choice(sorted(values))
    return _program([*lines, f"print({asked})"], "\n".join(steps), str(values[asked]))


def loop(random: Random, difficulty: int) -> Draft:
    """A number changed in every round of a loop."""
    start, change = random.randint(0, 30 * difficulty), random.randint(2, 9)
    rounds = random.randint(2, 2 + 2 * difficulty)
    sign = "-" if random.random() < 0.4 and start >= rounds * change else "+"
    value, steps = start, []
    for round_number in range(rounds):
        after = value - change if sign == "-" else value + change
        steps.append(f"i={round_number} {value}{sign}{change}={after}")
        value = after
    lines = [f"x = {start}", f"for i in range({rounds}):", f"    x {sign}= {change}", "print(x)"]
    return _program(lines, "\n".join(steps), str(value))


def brackets(random: Random, difficulty: int) -> Draft:
    """Close what is open; the steps keep the open brackets, and how many there are, after each symbol."""
    symbols: list[str] = []
    stack: list[str] = []
    steps = []
    length = random.randint(2 + difficulty, 4 + 2 * difficulty)
    while len(symbols) < length or not stack:
        if stack and (len(stack) > difficulty + 1 or random.random() < 0.4):
            symbols.append(_PAIRS[stack.pop()])
        else:
            stack.append(random.choice("([{"))
            symbols.append(stack[-1])
        steps.append(" ".join((symbols[-1], ":", *stack, str(len(stack)))))
    given, answer = " ".join(symbols), " ".join(_PAIRS[symbol] for symbol in reversed(stack))
    wording = random.choice(("Close the brackets: {}", "What closes {} ?"))
    return Draft(given, wording.format(given), "\n".join(steps), answer)


def output(random: Random, difficulty: int) -> Draft:
    """What a function call, a branch or an index prints."""
    return random.choice((_call, _branch, _index))(random, difficulty)


def _call(random: Random, difficulty: int) -> Draft:
    """A function of one number, called once."""
    factor, change = random.randint(2, 3 + 2 * difficulty), random.randint(1, 9)
    value = random.randint(2, 9)
    product, printed = value * factor, value * factor + change
    lines = ["def f(x):", f"    return x * {factor} + {change}", f"print(f({value}))"]
    return _program(lines, f"{value}*{factor}={product}\n{product}+{change}={printed}", str(printed))


def _branch(random: Random, difficulty: int) -> Draft:
    """A number that grows if it is above a limit and shrinks otherwise."""
    value, limit = random.sample(range(10, 10**difficulty * 10), 2)
    more, less = random.randint(1, 9), random.randint(1, 9)
    holds = value > limit
    change = f"{value}+{more}" if holds else f"{value}-{less}"
    printed = value + more if holds else value - less
    lines = [f"x = {value}", f"if x > {limit}:", f"    x += {more}", "else:", f"    x -= {less}", "print(x)"]
    return _program(lines, f"{value} > {limit} is {holds}\n{change}={printed}", str(printed))


def _index(random: Random, difficulty: int) -> Draft:
    """One element of a list, counted from zero."""
    numbers = random.sample(range(1, 10), 2 + difficulty)
    place = random.randrange(len(numbers))
    steps = [f"{at} is {number}" for at, number in enumerate(numbers[: place + 1])]
    lines = [f"x = [{', '.join(str(number) for number in numbers)}]", f"print(x[{place}])"]
    return _program(lines, "\n".join(steps), str(numbers[place]))


def _program(lines: list[str], thinking: str, answer: str) -> Draft:
    """Ask what a program prints; its text is its own canonical form."""
    program = "\n".join(lines)
    return Draft(program, f"{program}\nWhat is printed?", thinking, answer)


TASKS: dict[str, Task] = {"trace": trace, "loop": loop, "brackets": brackets, "output": output}

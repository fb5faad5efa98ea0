"""Instructions: reverse, sort, edit, recall and count, over short lists of letters.

Elements are set apart by spaces, so that a tokenizer sees each as one piece whatever it merged.
"""

from random import Random

from hornbook.data.builtin.problem import Draft, Task

_LETTERS = "abcdefghkmnprstw"
_THINGS = ("cup", "hat", "pen", "key", "map", "bag", "coin", "lamp", "ring", "book")
_COLOURS = ("red", "blue", "green", "black", "white", "pink", "gold", "grey")


def reverse(random: Random, difficulty: int) -> Draft:
    """Write a list backwards."""
    letters = random.sample(_LETTERS, random.randint(2 + difficulty, 4 + 2 * difficulty))
    given, backwards = " ".join(letters), letters[::-1]
    wording = random.choice(("Reverse: {}", "Write backwards: {}"))
    return Draft(given, wording.format(given), f"From the end: {', '.join(backwards)}", " ".join(backwards))


def sort(random: Random, difficulty: int) -> Draft:
    """Put letters in order: take the first of what is left, again and again."""
    letters = random.sample(_LETTERS, random.randint(2 + difficulty, 3 + 2 * difficulty))
    given, left, steps = " ".join(letters), list(letters), []
    while len(left) > 1:
        first = min(left)
        left.remove(first)
        steps.append(f"Take {first}, left {' '.join(left)}")
    wording = random.choice(("Sort: {}", "Put in order: {}"))
    return Draft(given, wording.format(given), "\n".join(steps), " ".join(sorted(letters)))


def edit(random: Random, difficulty: int) -> Draft:
    """Replace, remove or double one letter wherever it stands."""
    letters, old = _repeated(random, difficulty)
    new = random.choice([letter for letter in _LETTERS if letter not in letters])
    order, becomes = random.choice(
        ((f"put {new} for {old}", new), (f"remove {old}", ""), (f"double {old}", f"{old} {old}"))
    )
    edited = [becomes if letter == old else letter for letter in letters]
    steps = [f"{a}: {b or 'gone'}" for a, b in zip(letters, edited, strict=True)]
    answer, given = " ".join(letter for letter in edited if letter), " ".join(letters)
    return Draft(f"{order} {given}", f"In {given}: {order}.", f"Now {', '.join(steps)}", answer)


def recall(random: Random, difficulty: int) -> Draft:
    """Look one entry up in a list of pairs."""
    size = random.randint(1 + difficulty, 2 * difficulty + 1)
    pairs = list(zip(random.sample(_COLOURS, size), random.sample(_THINGS, size), strict=True))
    asked, thing = random.choice(pairs)
    told = ", ".join(f"{colour} {held}" for colour, held in pairs)
    wording = random.choice(("There is a {}. Which thing is {}?", "I see a {}. What is {}?"))
    return Draft(f"{sorted(pairs)} {asked}", wording.format(told, asked), f"Found {asked} {thing}", thing)


def count(random: Random, difficulty: int) -> Draft:
    """Count one letter in a list, keeping the count after every letter."""
    letters, wanted = _repeated(random, difficulty)
    given = ", ".join(letters)
    steps = [f"{letter}{letters[: place + 1].count(wanted)}" for place, letter in enumerate(letters)]
    wording = random.choice(("In {}: how many {}?", "In {}: count {}."))
    question, answer = wording.format(given, wanted), str(letters.count(wanted))
    return Draft(f"{wanted} in {given}", question, f"So far {' '.join(steps)}", answer)


def _repeated(random: Random, difficulty: int) -> tuple[list[str], str]:
    """Draw a list in which one letter stands several times and every other once, and that letter."""
    letters = random.sample(_LETTERS, random.randint(1 + difficulty, 2 + 2 * difficulty))
    wanted = random.choice(letters)
    letters += [wanted] * random.randint(0, 1 + difficulty)
    random.shuffle(letters)
    return letters, wanted


TASKS: dict[str, Task] = {"reverse": reverse, "sort": sort, "edit": edit, "recall": recall, "count": count}

"""Instructions: reverse, sort, edit, recall and count, over short lists of letters.

Elements are set apart by spaces, so that a tokenizer sees each as one piece whatever it merged.
"""

from random import Random

from hornbook.data.builtin.problem import Draft, Task

_LETTERS = "abcdefghkmnprstw"
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
    few = random.sample(_LETTERS, 2 + difficulty)
    letters = [random.choice(few) for _ in range(random.randint(3 + difficulty, 4 + 2 * difficulty))]
    old, new = random.choice(letters), random.choice([letter for letter in _LETTERS if letter not in few])
    given = " ".join(letters)
    order, becomes = random.choice(
        ((f"Replace {old} by {new}", new), (f"Remove each {old}", ""), (f"Double each {old}", f"{old} {old}"))
    )
    edited = [becomes if letter == old else letter for letter in letters]
    steps = [f"{a}: {b or 'gone'}" for a, b in zip(letters, edited, strict=True)]
    answer = " ".join(letter for letter in edited if letter) or "nothing"
    return Draft(f"{order} {given}", f"{order} in: {given}", f"Now {', '.join(steps)}", answer)


def recall(random: Random, difficulty: int) -> Draft:
    """Look one entry up in a list of pairs."""
    colours = random.sample(_COLOURS, random.randint(2 + difficulty, 3 + difficulty))
    pairs = [(colour, random.randint(10, 99)) for colour in colours]
    asked, number = random.choice(pairs)
    told = ", ".join(f"{colour} {amount}" for colour, amount in pairs)
    wording = random.choice(("Boxes: {}. What is in the {} box?", "Given {}. Which number is {}?"))
    return Draft(f"{sorted(pairs)} {asked}", wording.format(told, asked), f"Found {asked} {number}", str(number))


def count(random: Random, difficulty: int) -> Draft:
    """Count one letter in a list, keeping the count after every letter."""
    few = random.sample(_LETTERS, 2 + difficulty)
    letters = [random.choice(few) for _ in range(random.randint(3 + difficulty, 4 + 3 * difficulty))]
    wanted, given = random.choice(few), " ".join(letters)
    steps = [f"{letter} {letters[: place + 1].count(wanted)}" for place, letter in enumerate(letters)]
    wording = random.choice(("How many {} in: {}", "Count the {} in: {}"))
    return Draft(
        f"{wanted} in {given}",
        wording.format(wanted, given),
        f"So far {', '.join(steps)}",
        str(letters.count(wanted)),
    )


TASKS: dict[str, Task] = {"reverse": reverse, "sort": sort, "edit": edit, "recall": recall, "count": count}

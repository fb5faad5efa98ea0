"""Dialogue: who Hornbook is, small talk, and follow-ups that need an earlier turn.

Openings are many names times many wordings, so that there are held-out ones whose answer follows from those
trained on: the name is copied, the question decides the rest.
"""

from random import Random

from hornbook.data.builtin.problem import Draft, Task

# fmt: off
_NAMES = (
    "Ada", "Amy", "Ann", "Ava", "Ben", "Bob", "Cal", "Cy", "Dan", "Dee", "Don", "Ed", "Eli", "Ella", "Emma",
    "Eva", "Fay", "Finn", "Gil", "Gus", "Guy", "Hal", "Hugo", "Ian", "Ida", "Ina", "Ivy", "Jan", "Jay", "Jim",
    "Joe", "Jon", "Kai", "Kate", "Ken", "Kim", "Kit", "Lea", "Len", "Leo", "Lily", "Liv", "Liz", "Lou", "Lucy",
    "Max", "May", "Meg", "Mia", "Nan", "Ned", "Nell", "Nia", "Noah", "Nora", "Olga", "Oscar", "Otto", "Pam",
    "Pat", "Paul", "Rae", "Ray", "Rex", "Rob", "Ron", "Rose", "Roy", "Ruth", "Sam", "Sara", "Sid", "Sue",
    "Tess", "Tim", "Tom", "Uma", "Una", "Val", "Vera", "Vic", "Viv", "Walt", "Wes", "Will", "Yan", "Zack",
    "Zoe",
)
# fmt: on

_OPENINGS = ("Hi, I am {}.", "Hello, {} here.", "My name is {}.")

_NAMELESS_SHARE = 0.15
"""How often the opening is left out: nobody should have to give a name to ask for one."""

_IDENTITY = {
    "What is your name?": ("my name", "I am Hornbook{}."),
    "Who are you?": ("my name", "I am Hornbook{}."),
    "What are you called?": ("my name", "I am Hornbook{}."),
    "Are you a human?": ("if I am human", "No{}, I am Hornbook, a small language model."),
    "Are you a person?": ("if I am human", "No{}, I am Hornbook, a small language model."),
    "Are you alive?": ("if I am human", "No{}, I am Hornbook, a small language model."),
    "What can you do?": ("what I can do", "I reason in small steps{}."),
    "Can you help me?": ("what I can do", "I reason in small steps{}."),
    "What are you good at?": ("what I can do", "I reason in small steps{}."),
    "Where do you live?": ("where I am", "I run on your own machine{}."),
    "Where are you?": ("where I am", "I run on your own machine{}."),
}
"""Question -> (what is asked, the answer). Several questions share an answer."""

_REMARKS = {
    "I am tired today.": ("is tired", "Have a good rest{}."),
    "I feel sleepy.": ("is tired", "Have a good rest{}."),
    "I slept badly.": ("is tired", "Have a good rest{}."),
    "I am happy today.": ("is happy", "I am glad to hear it{}."),
    "I feel great.": ("is happy", "I am glad to hear it{}."),
    "I won a prize.": ("is happy", "I am glad to hear it{}."),
    "I am sad today.": ("is sad", "I am sorry to hear it{}."),
    "I feel lonely.": ("is sad", "I am sorry to hear it{}."),
    "I lost my keys.": ("is sad", "I am sorry to hear it{}."),
    "I am hungry.": ("is hungry", "Have a bite to eat{}."),
    "I missed lunch.": ("is hungry", "Have a bite to eat{}."),
    "I am bored today.": ("is bored", "Shall we play with numbers{}?"),
    "I have nothing to do.": ("is bored", "Shall we play with numbers{}?"),
    "Thank you.": ("thanks me", "You are welcome{}."),
    "Thanks a lot.": ("thanks me", "You are welcome{}."),
    "I must go now.": ("leaves", "Goodbye{}."),
    "See you soon.": ("leaves", "Goodbye{}."),
}
"""Remark -> (what it means, the reply). Several remarks mean the same."""

_ABOUT = {
    "name": ("My name is {}.", "What is my name?", _NAMES),
    "cat": ("My cat is called {}.", "What is my cat called?", ("Felix", "Tiger", "Momo", "Luna", "Nala")),
    "dog": (
        "My dog is called {}.",
        "What is my dog called?",
        ("Rufus", "Bruno", "Pluto", "Rocky", "Fido"),
    ),
    "city": ("I live in {}.", "Where do I live?", ("Paris", "Rome", "Oslo", "Lima", "Delhi", "Cairo", "Tokyo")),
    "colour": ("I like the colour {}.", "Which colour do I like?", ("red", "blue", "green", "black", "white")),
    "food": ("I love {}.", "What do I love to eat?", ("soup", "rice", "cake", "bread", "fish", "pasta")),
    "job": ("I work as a {}.", "What is my job?", ("nurse", "baker", "farmer", "pilot", "driver")),
}
"""Subject -> (how it is told, how it is asked for, its values)."""

_THINGS = ("apples", "pens", "books", "coins")


def identity(random: Random, difficulty: int) -> Draft:
    """Someone, often by name, asks Hornbook about itself."""
    question, (topic, answer) = random.choice(list(_IDENTITY.items()))
    return _opened(random, question, f"asks {topic}", answer)


def small_talk(random: Random, difficulty: int) -> Draft:
    """Someone, often by name, says how they are, thanks or leaves."""
    remark, (meaning, answer) = random.choice(list(_REMARKS.items()))
    return _opened(random, remark, meaning, answer)


def _opened(random: Random, said: str, meaning: str, answer: str) -> Draft:
    """Put an opening with a name before what is said, mostly, and the name into the answer."""
    if random.random() < _NAMELESS_SHARE:
        return Draft(said, said, f"Someone {meaning}.", answer.format(""))
    name, opening = random.choice(_NAMES), random.choice(_OPENINGS)
    return Draft(
        f"{name} {said}", f"{opening.format(name)} {said}", f"{name} {meaning}.", answer.format(f", {name}")
    )


def remember(random: Random, difficulty: int) -> Draft:
    """Facts are told one turn at a time; the last turn asks for one of them."""
    subjects = random.sample(list(_ABOUT), difficulty + 1)
    told = [(subject, random.choice(_ABOUT[subject][2])) for subject in subjects]
    asked, value = random.choice(told)
    earlier = tuple((_ABOUT[subject][0].format(fact), "Noted.") for subject, fact in told)
    return Draft(f"{sorted(told)} {asked}", _ABOUT[asked][1], f"Told: {asked} {value}.", value, earlier)


def update(random: Random, difficulty: int) -> Draft:
    """A number is told, then changed in later turns; the last turn asks how many there are now."""
    things, total = random.choice(_THINGS), random.randint(10, 10 + 40 * difficulty)
    earlier, facts, steps = [(f"I have {total} {things}.", "Noted.")], str(total), []
    for _ in range(difficulty):
        change = random.randint(1, 9)
        gain = random.random() < 0.5 or total <= change
        after = total + change if gain else total - change
        earlier.append((f"I get {change} more." if gain else f"I lose {change}.", "Noted."))
        steps.append(f"{total}{'+' if gain else '-'}{change}={after}")
        facts, total = f"{facts}{'+' if gain else '-'}{change}", after
    return Draft(facts, f"How many {things} do I have?", "\n".join(steps), str(total), tuple(earlier))


def refer(random: Random, difficulty: int) -> Draft:
    """The last turn speaks of an earlier answer as 'it'."""
    a, b = random.sample(range(10, 10 + 40 * difficulty), 2)
    asked = random.choice(("larger", "smaller"))
    chosen = max(a, b) if asked == "larger" else min(a, b)
    change = random.randint(1, 9)
    gain = random.random() < 0.5
    answer = chosen + change if gain else chosen - change
    question = f"Add {change} to it." if gain else f"Take {change} from it."
    steps = f"It is {chosen}. {chosen}{'+' if gain else '-'}{change}={answer}"
    facts = f"{asked} {min(a, b)} {max(a, b)} {'+' if gain else '-'}{change}"
    return Draft(facts, question, steps, str(answer), ((f"Which is {asked}, {a} or {b}?", str(chosen)),))


TASKS: dict[str, Task] = {
    "identity": identity,
    "small_talk": small_talk,
    "remember": remember,
    "update": update,
    "refer": refer,
}

"""builtin:reasoning: graded problems with known answers and worked thinking, in five skills.

Each skill is a source of its own as well: builtin:maths, builtin:logic, builtin:instructions, builtin:dialogue,
builtin:code. An exam asks the same held-out problems of a skill, however it was taught.
"""

from hornbook.data.builtin import code, dialogue, instructions, logic, maths
from hornbook.data.builtin.course import Course

REASONING = Course(
    {
        "maths": maths.TASKS,
        "logic": logic.TASKS,
        "instructions": instructions.TASKS,
        "dialogue": dialogue.TASKS,
        "code": code.TASKS,
    }
)

SINGLE_SKILLS = {skill: Course({skill: tasks}) for skill, tasks in REASONING.skills.items()}
"""Every skill of the five alone, by its name."""

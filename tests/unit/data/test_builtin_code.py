"""Code problems: the answers are re-derived by small interpreters of the programs' text."""

import ast
import re
from random import Random

import pytest

from hornbook.data.builtin.code import TASKS

DIFFICULTIES = pytest.mark.parametrize("difficulty", [1, 2, 3])
CLOSING = {"(": ")", "[": "]", "{": "}"}


def drafts(name, difficulty):
    return [TASKS[name](Random(f"{name} {number}"), difficulty) for number in range(300)]


def value_of(node, names):
    """Evaluate the few expressions the programs use."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.List(elts=elements):
            return [value_of(element, names) for element in elements]
        case ast.Subscript(value=of, slice=place):
            return value_of(of, names)[value_of(place, names)]
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = value_of(left, names), value_of(right, names)
            return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b}[type(operator)]
        case ast.Compare(left=left, ops=[ast.Gt()], comparators=[right]):
            return value_of(left, names) > value_of(right, names)
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            parameter, body = names[name]
            return value_of(body, {parameter: value_of(argument, names)})
    raise AssertionError(ast.dump(node))


def run(statements, names):
    """Carry out the few statements the programs use; return what is printed."""
    printed = []
    for node in statements:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[argument])):
                printed.append(str(value_of(argument, names)))
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = value_of(value, names)
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                change = value_of(value, names)
                names[name] += change if isinstance(operator, ast.Add) else -change
            case ast.For(iter=ast.Call(args=[rounds]), body=body):
                for _ in range(value_of(rounds, names)):
                    printed += run(body, names)
            case ast.If(test=test, body=body, orelse=otherwise):
                printed += run(body if value_of(test, names) else otherwise, names)
            case ast.FunctionDef(name=name, args=arguments, body=[ast.Return(value=value)]):
                names[name] = (arguments.args[0].arg, value)
            case _:
                raise AssertionError(ast.dump(node))
    return printed


@DIFFICULTIES
@pytest.mark.parametrize("name", ["trace", "loop", "output"])
def test_the_answer_is_what_the_program_prints(name, difficulty):
    for draft in drafts(name, difficulty):
        program = draft.question.removesuffix("\nWhat is printed?")
        assert run(ast.parse(program).body, {}) == [draft.answer], draft


@DIFFICULTIES
def test_the_answer_closes_every_open_bracket(difficulty):
    for draft in drafts("brackets", difficulty):
        stack = []
        for symbol in re.sub(r"[^][(){}]", "", draft.question) + draft.answer.replace(" ", ""):
            if symbol in CLOSING:
                stack.append(symbol)
            else:
                assert CLOSING[stack.pop()] == symbol, draft
        assert not stack, draft
        assert draft.answer


@DIFFICULTIES
@pytest.mark.parametrize("name", ["trace", "loop"])
def test_every_step_is_true(name, difficulty):
    for draft in drafts(name, difficulty):
        for step in draft.thinking.splitlines():
            if found := re.search(r"(\d+[-+]\d+)=(\d+)$", step):
                assert eval(found[1]) == int(found[2]), draft


def test_an_output_problem_may_be_a_call_a_branch_or_an_index():
    questions = [draft.question for draft in drafts("output", 1)]
    assert {"def" in text for text in questions} == {"if " in text for text in questions} == {True, False}
    assert any("x = [" in text for text in questions)

"""The list of tests. A case module decorates functions with `@test(…)`; each takes a Context."""
import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    function: typing.Callable
    seconds_max: float
    alone: bool
    proves: str


tests: dict = {}


def test(seconds_max=60.0, alone=False, **variants):
    """Registers a test under the function's name.

    seconds_max  the test is ended, and has failed, after this time
    alone        it measures loss or time, so nothing else may run beside it
    variants     one keyword with a list: one test for each value, named function[value]
    """
    def register(function):
        (key, values), = variants.items() if variants else ((None, [None]),)
        for value in values:
            label = "-".join(str(part) for part in value) if isinstance(value, (tuple, list)) else str(value)
            name = function.__name__ if key is None else f"{function.__name__}[{label}]"
            if name in tests:
                raise ValueError(f"two tests are called {name}")
            call = function if key is None else (lambda context, v=value: function(context, v))
            tests[name] = Test(name, call, seconds_max, alone, (function.__doc__ or "").strip().split("\n")[0])
        return function
    return register


class Failure(AssertionError):
    """A test's expectation did not hold."""


def check(condition, message):
    """Fails the test with a sentence that says what was seen."""
    if not condition:
        raise Failure(message() if callable(message) else message)

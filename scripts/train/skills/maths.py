"""Arithmetic and unit conversion within the range the model card states.

Sums and differences of 0..999; products of 0..99 by 0..12; exact quotients of those; comparisons
of 0..999; word problems on sums and differences up to 99; the conversions in UNITS.
"""

from fractions import Fraction

from .phrasing import ask, item

NAMES = """Anna Ben Clara David Emma Felix Grace Henry Ivy Jack Kate Leo Mia Noah Olga Paul Rosa Sam
Tina Victor Wendy Yusuf Zoe Amir Bella Carlos Dana Elena Finn Hana""".split()
THINGS = """apples books coins stamps pencils eggs cards shells marbles stickers flowers buttons
cookies balloons stones tickets oranges candles keys letters""".split()
SIGNS = {"+": "plus", "-": "minus", "×": "times", "÷": "divided by"}
# from, to, factor, largest whole number asked
UNITS = [
    ("kilometers", "meters", 1000, 100), ("meters", "centimeters", 100, 100),
    ("centimeters", "millimeters", 10, 100), ("meters", "millimeters", 1000, 100),
    ("kilograms", "grams", 1000, 100), ("tonnes", "kilograms", 1000, 100),
    ("grams", "milligrams", 1000, 100), ("liters", "milliliters", 1000, 100),
    ("hours", "minutes", 60, 24), ("minutes", "seconds", 60, 60), ("days", "hours", 24, 31),
    ("weeks", "days", 7, 52), ("years", "months", 12, 50), ("feet", "inches", 12, 50),
    ("yards", "feet", 3, 100), ("pounds", "ounces", 16, 50), ("gallons", "quarts", 4, 50),
    ("quarts", "pints", 2, 100), ("dozens", "pieces", 12, 50), ("kilobytes", "bytes", 1000, 100),
    ("megabytes", "kilobytes", 1000, 100), ("gigabytes", "megabytes", 1000, 100),
    ("dollars", "cents", 100, 100), ("miles", "yards", 1760, 10), ("centuries", "years", 100, 50),
]


def decimal(value):
    """A fraction as an exact decimal without trailing zeros."""
    text = f"{float(value):.6f}".rstrip("0").rstrip(".")
    return text


def evaluate(a, sign, b):
    return {"+": a + b, "-": a - b, "×": a * b, "÷": a // b if b else 0}[sign]


def worked(a, sign, b):
    """The result; products beyond the table go through the tens and the ones."""
    result = evaluate(a, sign, b)
    large, small = max(a, b), min(a, b)
    if sign != "×" or large <= 12 or small < 2 or large % 10 == 0:
        return str(result)
    return f"{large // 10 * 10 * small} + {large % 10 * small} = {result}"


def operands(rng):
    """A pair and a sign inside the stated range."""
    sign = rng.choices("+-×÷", (4, 7, 3, 2))[0]
    if sign in "+-":
        top = rng.choice((9, 20, 99, 99, 999, 999, 999, 999, 999))
        return rng.randint(0, top), sign, rng.randint(0, top)
    a, b = rng.randint(0, rng.choice((12, 99, 99))), rng.randint(0, 12)
    if sign == "÷":
        b = max(b, 1)
        return a * b, sign, b
    return (a, sign, b) if rng.random() < 0.6 else (b, sign, a)


def arithmetic(rng, split):
    a, sign, b = operands(rng)
    word = SIGNS[sign]
    written = f"{a} {word} {b}" if rng.random() < 0.45 else f"{a} {sign} {b}"
    if sign == "×" and rng.random() < 0.3:
        written = f"{a} * {b}" if rng.random() < 0.6 else f"{a} x {b}"
    if sign == "÷" and rng.random() < 0.4:
        written = f"{a} / {b}"
    if sign in "+-" and rng.random() < 0.15:
        written = f"{a}{sign}{b}"
    nouns = ["{x}", "the result of {x}", "the value of {x}", "the answer to {x}"]
    direct = ["{x} = ?", "{x} =", "Calculate {x}.", "Compute {x}.", "How much is {x}?", "Work out {x}.",
              "What does {x} equal?", "What do you get for {x}?", "Solve {x}.", "Evaluate {x}.",
              "Please calculate {x}.", "Can you compute {x}?", "What does {x} come to?", "{x}?"]
    if sign == "+":
        nouns += ["the sum of {a} and {b}"]
        direct += ["Add {a} and {b}.", "Add {b} to {a}.", "What do {a} and {b} add up to?"]
    elif sign == "-":
        nouns += ["the difference when {b} is taken from {a}"]
        direct += ["Subtract {b} from {a}.", "Take {b} away from {a}.", "What is left of {a} minus {b}?"]
    elif sign == "×":
        nouns += ["the product of {a} and {b}"]
        direct += ["Multiply {a} by {b}.", "Multiply {a} and {b}."]
    else:
        nouns += ["the quotient of {a} and {b}"]
        direct += ["Divide {a} by {b}.", "How many times does {b} go into {a}?"]
    text = ask(rng, split, nouns, direct, x=written, a=a, b=b)
    return item("arithmetic", text, f"{a} {sign} {b} = {worked(a, sign, b)}.")


def word_problem(rng, split):
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    a, b = rng.randint(1, 99), rng.randint(1, 99)
    kind = rng.choice(("more", "less", "each", "total"))
    if kind == "more":
        total = a + b
        text = ask(rng, split, (), [
            "{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?",
            "{n} had {a} {t}. Then {n} bought {b} more. How many {t} does {n} have?",
            "{n} owns {a} {t} and finds another {b}. How many {t} is that?",
            "There were {a} {t} in {n}'s box. {n} added {b}. How many {t} are there now?",
            "{n} collected {a} {t} on Monday and {b} on Tuesday. How many {t} are there in all?",
            "If {n} has {a} {t} and {o} gives {n} {b} more, how many {t} does {n} have?"],
            n=name, o=other, a=a, b=b, t=thing)
        answer = f"{a} + {b} = {total}, so {name} has {total} {thing}."
    elif kind == "less":
        a, b = max(a, b), min(a, b)
        total = a - b
        text = ask(rng, split, (), [
            "{n} has {a} {t} and gives {b} to {o}. How many {t} does {n} have left?",
            "{n} had {a} {t} and lost {b}. How many {t} remain?",
            "There were {a} {t}. {n} took {b} away. How many {t} are left?",
            "{n} sold {b} of {a} {t}. How many {t} are left?",
            "If {n} has {a} {t} and uses {b}, how many {t} are left?"],
            n=name, o=other, a=a, b=b, t=thing)
        answer = f"{a} - {b} = {total}, so {total} {thing} are left."
    elif kind == "each":
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        total = a * b
        text = ask(rng, split, (), [
            "{n} has {a} boxes with {b} {t} in each. How many {t} are there?",
            "Each of {a} children has {b} {t}. How many {t} do they have together?",
            "There are {b} {t} in a bag. How many {t} are in {a} bags?",
            "{n} buys {a} packs of {b} {t}. How many {t} is that?"], n=name, a=a, b=b, t=thing)
        answer = f"{a} × {b} = {total}, so there are {total} {thing}."
    else:
        total = a + b
        text = ask(rng, split, (), [
            "{n} has {a} {t} and {o} has {b} {t}. How many {t} do they have together?",
            "{n} brings {a} {t}, {o} brings {b}. How many {t} are there in total?",
            "Together, how many {t} do {n} with {a} and {o} with {b} have?"],
            n=name, o=other, a=a, b=b, t=thing)
        answer = f"{a} + {b} = {total}, so together they have {total} {thing}."
    return item("word_problem", text, answer)


def compare(rng, split):
    top = rng.choice((20, 99, 999))
    a, b = rng.randint(0, top), rng.randint(0, top)
    if a == b:
        b += 1
    large, small = max(a, b), min(a, b)
    if rng.random() < 0.5:
        text = ask(rng, split, ["the larger of {a} and {b}"],
                   ["Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?",
                    "Is {a} or {b} larger?", "Which is more, {a} or {b}?"], a=a, b=b)
        return item("compare", text, f"{large} is larger than {small}.")
    text = ask(rng, split, ["the smaller of {a} and {b}"],
               ["Which is smaller, {a} or {b}?", "Which number is less: {a} or {b}?",
                "Is {a} or {b} smaller?", "Which is less, {a} or {b}?"], a=a, b=b)
    return item("compare", text, f"{small} is smaller than {large}.")


def parity(rng, split):
    n = rng.randint(0, 999)
    text = ask(rng, split, (), ["Is {x} even or odd?", "Is {x} an even number or an odd one?",
               "Is the number {x} odd or even?", "Tell me whether {x} is even or odd.",
               "Even or odd: {x}?"], x=n)
    return item("parity", text, f"{n} is an {'even' if n % 2 == 0 else 'odd'} number.")


def convert_question(rng, split, amount, source, target):
    return ask(rng, split, ["{a} {s} in {t}", "the number of {t} in {a} {s}"],
               ["How many {t} are {a} {s}?", "Convert {a} {s} to {t}.", "How many {t} are in {a} {s}?",
                "How many {t} is {a} {s}?", "Express {a} {s} in {t}.", "Change {a} {s} into {t}.",
                "{a} {s} is how many {t}?", "Turn {a} {s} into {t}.", "{a} {s} to {t}?",
                "Please convert {a} {s} into {t}."], a=amount, s=source, t=target)


def convert(rng, split):
    """A conversion of UNITS, down (multiplying) or up (dividing exactly)."""
    source, target, factor, top = rng.choice(UNITS)
    n = rng.randint(1, top)
    if rng.random() < 0.65:
        amount, result = n, n * factor
    else:
        if factor in (10, 100, 1000) and rng.random() < 0.4:
            n = Fraction(n, 10)
        source, target = target, source
        amount, result = decimal(n * factor), decimal(n)
    text = convert_question(rng, split, amount, plural(amount, source), target)
    return item("units", text, f"{amount} {plural(amount, source)} {'is' if str(amount) == '1' else 'are'}"
                f" {result} {plural(result, target)}.")


def plural(amount, unit):
    """The unit's singular for exactly one."""
    if str(amount) != "1":
        return unit
    return {"feet": "foot", "inches": "inch", "centuries": "century"}.get(unit, unit[:-1])


def temperature(rng, split):
    """Degrees Celsius in steps of five, either way."""
    celsius = rng.randrange(-40, 101, 5)
    fahrenheit = celsius * 9 // 5 + 32
    a, s, b, t = ((celsius, "Celsius", fahrenheit, "Fahrenheit") if rng.random() < 0.5 else
                  (fahrenheit, "Fahrenheit", celsius, "Celsius"))
    text = convert_question(rng, split, a, f"degrees {s}", f"degrees {t}")
    return item("units", text, f"{a} degrees {s} are {b} degrees {t}.")


GENERATORS = [(arithmetic, 11), (word_problem, 2.5), (compare, 2), (parity, 0.7), (convert, 4),
              (temperature, 0.8)]

"""Tool calls in Hermes form: choosing a tool, filling its arguments, and using its result."""

from .chatlib import dumps
from .maths import NAMES
from .phrasing import OPENINGS, capital_first, held_out
from .retrieval import CITIES, COLORS, DAYS, ROOMS, SYLLABLES, THINGS, value_of
from . import maths, talk, words, world

TOPICS = """volcanoes whales bread chess bridges tea trains satellites bees castles glaciers robots
opera coffee deserts honey paper glass rivers poetry""".split()
LANGUAGES = "French Spanish German Italian Japanese Arabic Hindi Polish Dutch Korean".split()
PHRASES = ["good morning", "thank you", "where is the station", "I am hungry", "see you tomorrow",
           "the water is cold", "my name is Anna", "how much is this"]
SONGS = ["Blue River", "Morning Light", "Old Road", "Silver Moon", "Rain Song", "Winter Waltz"]


def number(low, high):
    return lambda rng: rng.randint(low, high)


def pick(choices):
    return lambda rng: rng.choice(choices)


def expression(rng):
    return f"{rng.randint(2, 9999)} {rng.choice('+-*/')} {rng.randint(2, 9999)}"


# name: (description, {parameter: (type, description, maker)}, requests, result maker, answer)
CATALOG = {
    "get_weather": ("Get the current weather of a city.", {"city": ("string", "Name of the city", pick(CITIES))},
        ["What is the weather in {city}?", "How is the weather in {city}?", "Is it warm in {city}?",
         "Tell me the weather in {city}.", "I am going to {city}. What is the weather like?",
         "Weather in {city}?", "Check the weather in {city}.", "Do I need a coat in {city}?"],
        {"temperature": number(-20, 40), "condition": pick("sunny rainy cloudy windy snowy foggy".split())},
        "It is {temperature} degrees and {condition} in {city}."),
    "get_time": ("Get the current local time of a city.", {"city": ("string", "Name of the city", pick(CITIES))},
        ["What time is it in {city}?", "Tell me the time in {city}.", "How late is it in {city}?",
         "Current time in {city}?", "Do you know the time in {city}?", "What is the local time in {city}?"],
        {"time": lambda rng: value_of(rng, "time")}, "It is {time} in {city}."),
    "calculator": ("Evaluate an arithmetic expression.", {"expression": ("string", "The expression", expression)},
        ["What is {expression}?", "Calculate {expression}.", "Compute {expression} for me.",
         "Please work out {expression}.", "How much is {expression}?", "{expression}?"],
        {"result": number(1, 99999)}, "{expression} = {result}."),
    "search_web": ("Search the web.", {"query": ("string", "What to search for", pick(TOPICS))},
        ["Search the web for {query}.", "Find pages about {query}.", "Look up {query} on the web.",
         "What can you find about {query}?", "Google {query}.", "Search for {query}."],
        {"hits": number(2, 900), "title": lambda rng: "All about " + rng.choice(TOPICS)},
        'I found {hits} pages about {query}. The first is "{title}".'),
    "send_message": ("Send a message to a person.", {"recipient": ("string", "Who gets it", pick(NAMES)),
        "text": ("string", "The message", pick(PHRASES))},
        ['Send "{text}" to {recipient}.', 'Tell {recipient}: "{text}".', 'Message {recipient} with "{text}".',
         'Write "{text}" to {recipient}.', 'Please send {recipient} the message "{text}".'],
        {"status": pick(["sent", "delivered", "queued"])}, "The message to {recipient} is {status}."),
    "set_timer": ("Start a timer.", {"minutes": ("integer", "Length in minutes", number(1, 120))},
        ["Set a timer for {minutes} minutes.", "Start a timer of {minutes} minutes.",
         "Wake me in {minutes} minutes.", "Remind me in {minutes} minutes.", "Timer, {minutes} minutes, please."],
        {"id": number(1, 999)}, "The timer for {minutes} minutes is running with the number {id}."),
    "convert_currency": ("Convert money from one currency to another.",
        {"amount": ("number", "How much", number(1, 999)),
         "source": ("string", "Code of the currency to convert from", pick("USD EUR GBP JPY CHF INR".split())),
         "target": ("string", "Code of the currency to convert to", pick("BRL CAD SEK PLN KRW MXN".split()))},
        ["Convert {amount} {source} to {target}.", "How much are {amount} {source} in {target}?",
         "What are {amount} {source} in {target}?", "Change {amount} {source} into {target}."],
        {"value": number(1, 9999)}, "{amount} {source} are {value} {target}."),
    "translate": ("Translate a text.", {"text": ("string", "Text to translate", pick(PHRASES)),
        "language": ("string", "Target language", pick(LANGUAGES))},
        ['Translate "{text}" into {language}.', 'How do you say "{text}" in {language}?',
         'What is "{text}" in {language}?', 'Say "{text}" in {language}.'],
        {"translation": lambda rng: " ".join("".join(rng.choice(SYLLABLES) for _ in range(2)) for _ in range(2))},
        'In {language}, "{text}" is "{translation}".'),
    "create_event": ("Add an event to the calendar.", {"title": ("string", "Name of the event",
        pick(["lunch", "dentist", "meeting", "concert", "football", "dinner", "exam", "party"])),
        "day": ("string", "Day of the week", pick(DAYS)), "time": ("string", "Start, HH:MM",
        lambda rng: f"{rng.randint(7, 21):02d}:{rng.choice(('00', '15', '30', '45'))}")},
        ["Put {title} on {day} at {time} into my calendar.", "Add {title} on {day} at {time}.",
         "Schedule {title} for {day}, {time}.", "Plan {title} on {day} at {time}."],
        {"event_id": number(100, 9999)}, "{title} is in the calendar on {day} at {time}, number {event_id}."),
    "set_light": ("Change the light of a room.", {"room": ("string", "Which room", pick(ROOMS)),
        "color": ("string", "Color of the light", pick(COLORS))},
        ["Make the light in the {room} {color}.", "Set the {room} light to {color}.",
         "I want {color} light in the {room}.", "Turn the light in the {room} to {color}."],
        {"status": pick(["on", "ok", "done"])}, "The light in the {room} is now {color}."),
    "get_stock": ("Get how many of a product are in store.", {"product": ("string", "The product", pick(THINGS))},
        ["How many {product}s are in stock?", "Check the stock of the {product}.", "Is the {product} in stock?",
         "Do we have the {product} in store?"],
        {"count": number(0, 500)}, "The store has {count} of the {product}."),
    "play_music": ("Play a song.", {"song": ("string", "Title", pick(SONGS))},
        ['Play "{song}".', 'I want to hear "{song}".', 'Put on "{song}".', 'Please play the song "{song}".'],
        {"length": lambda rng: f"{rng.randint(2, 6)}:{rng.randint(0, 59):02d}"},
        '"{song}" is playing. It is {length} long.'),
    "find_country": ("Look up facts about a country.", {"country": ("string", "Name of the country",
        lambda rng: rng.choice(world.COUNTRIES)["name"].removeprefix("the "))},
        ["How many people live in {country}?", "What is the population of {country}?",
         "Population of {country}?", "Look up how many people live in {country}."],
        {"population": number(10000, 90000000)}, "{population} people live in {country}."),
    "book_table": ("Reserve a table in a restaurant.", {"people": ("integer", "Number of guests", number(2, 12)),
        "day": ("string", "Day of the week", pick(DAYS))},
        ["Book a table for {people} on {day}.", "Reserve a table for {people} people on {day}.",
         "I need a table for {people} this {day}.", "Get us a table on {day}, we are {people}."],
        {"confirmation": number(1000, 9999)}, "The table for {people} on {day} is booked, number {confirmation}."),
}
VERBS = "get set find check update delete create list read count open start stop".split()
KINDS = """user order file invoice sensor door robot ticket account record printer shipment camera
task server playlist bus parcel recipe ward""".split()
FIELDS = "status owner level score state price weight place version color total rank".split()


def invented(rng):
    """A tool nobody has heard of, so that the schema must be read."""
    verb, kind = rng.choice(VERBS), rng.choice(KINDS)
    params = {f"{kind}_{rng.choice(('id', 'number'))}": ("integer", f"Number of the {kind}", number(1, 9999))}
    extra = None
    if rng.random() < 0.5:
        extra = rng.choice(FIELDS)
        params[extra] = ("string", f"The {extra} to use", lambda r: value_of(r, "word"))
    id_name = next(iter(params))
    tail = f" with {extra} {{{extra}}}" if extra else ""
    requests = [f"{capital_first(verb)} {kind} {{{id_name}}}{tail}.",
                f"Please {verb} the {kind} {{{id_name}}}{tail}.",
                f"Can you {verb} {kind} number {{{id_name}}}{tail}?", f"I want to {verb} {kind} {{{id_name}}}{tail}."]
    field = rng.choice([f for f in FIELDS if f != extra])
    makers = {field: (lambda r: value_of(r, "word")) if rng.random() < 0.5 else number(1, 999)}
    return f"{verb}_{kind}", (f"{capital_first(verb)} a {kind}.", params, requests, makers,
                              f"The {field} of {kind} {{{id_name}}} is {{{field}}}.")


def schema(name, spec):
    """The OpenAI tool object of a catalog entry."""
    properties = {p: {"type": t, "description": d} for p, (t, d, _) in spec[1].items()}
    return {"type": "function", "function": {"name": name, "description": spec[0], "parameters": {
        "type": "object", "properties": properties, "required": list(properties)}}}


def toolbox(rng):
    """One to four tools: [(name, spec)], the first to be used."""
    tools = {}
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        if rng.random() < 0.4:
            name, spec = invented(rng)
        else:
            name = rng.choice(list(CATALOG))
            spec = CATALOG[name]
        tools[name] = spec
    return list(tools.items())


def request(rng, split, spec):
    """(user text, arguments) for one tool."""
    arguments = {p: maker(rng) for p, (_, _, maker) in spec[1].items()}
    for _ in range(200):
        pattern = rng.choice(OPENINGS) + rng.choice(spec[2]) + rng.choice(("", "", "", " Thanks!", " Please."))
        if held_out(pattern) == (split == "eval"):
            break
    return pattern.format(**arguments), arguments


def result_of(rng, spec):
    return {key: maker(rng) for key, maker in spec[3].items()}


def calls_message(calls):
    return {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": n, "arguments": a}} for n, a in calls]}


def system_prompt(rng):
    return rng.choice(["", "", "You are a helpful assistant.", "You are Pagoda, a small assistant.",
                       "Use the tools when they help."])


def begin(rng, tools):
    """The schemas in random order and the opening messages."""
    schemas = [schema(n, s) for n, s in tools]
    rng.shuffle(schemas)
    system = system_prompt(rng)
    return schemas, [{"role": "system", "content": system}] if system else []


def call(rng, split):
    """One call; in training the result and the answer follow."""
    tools = toolbox(rng)
    name, spec = tools[0]
    schemas, messages = begin(rng, tools)
    text, arguments = request(rng, split, spec)
    messages += [{"role": "user", "content": text}, calls_message([(name, arguments)])]
    if split == "train" and rng.random() < 0.8:
        finish(rng, messages, spec, arguments)
        if rng.random() < 0.3:  # and another request in the same conversation
            name, spec = rng.choice(tools)
            text, arguments = request(rng, split, spec)
            messages += [{"role": "user", "content": text}, calls_message([(name, arguments)])]
            finish(rng, messages, spec, arguments)
    return {"skill": "tool_call", "messages": messages, "tools": schemas}


def finish(rng, messages, spec, arguments):
    """Adds the tool's result and the assistant's sentence about it."""
    result = result_of(rng, spec)
    messages += [{"role": "tool", "content": dumps(result)},
                 {"role": "assistant", "content": capital_first(spec[4].format(**arguments, **result))}]


def use_result(rng, split):
    """The answer after a tool's result."""
    tools = toolbox(rng)
    name, spec = tools[0]
    schemas, messages = begin(rng, tools)
    text, arguments = request(rng, split, spec)
    messages += [{"role": "user", "content": text}, calls_message([(name, arguments)])]
    finish(rng, messages, spec, arguments)
    return {"skill": "tool_result", "messages": messages, "tools": schemas}


def parallel(rng, split):
    """Two cities, two calls, and one answer for both."""
    name = rng.choice(["get_weather", "get_time"])
    spec = CATALOG[name]
    tools = [(name, spec)] + [t for t in toolbox(rng) if t[0] != name]
    schemas, messages = begin(rng, tools)
    a, b = rng.sample(CITIES, 2)
    what = "weather" if name == "get_weather" else "time"
    while True:
        pattern = rng.choice(OPENINGS) + rng.choice([
            "What is the {w} in {a} and in {b}?", "Tell me the {w} in {a} and {b}.", "Compare the {w} in {a} and {b}.",
            "I need the {w} for {a} and for {b}.", "{w} in {a} and {b}?", "Check the {w} in {a} and in {b}."])
        if held_out(pattern) == (split == "eval"):
            break
    text = capital_first(pattern.format(w=what, a=a, b=b))
    messages += [{"role": "user", "content": text}, calls_message([(name, {"city": a}), (name, {"city": b})])]
    if split == "train":
        results = [result_of(rng, spec), result_of(rng, spec)]
        messages += [{"role": "tool", "content": dumps(r)} for r in results]
        answer = " ".join(spec[4].format(city=c, **r) for c, r in zip((a, b), results))
        messages.append({"role": "assistant", "content": answer})
    return {"skill": "tool_parallel", "messages": messages, "tools": schemas}


def no_call(rng, split):
    """Tools are offered, but the question does not need them."""
    tools = [t for t in toolbox(rng) if t[0] not in ("find_country", "calculator", "get_weather", "get_time",
                                                     "convert_currency")]
    if not tools:
        tools = [("set_light", CATALOG["set_light"])]
    schemas, messages = begin(rng, tools)
    made = rng.choice((talk.small_talk, world.simple, words.define, talk.common_fact, maths.arithmetic))(rng, split)
    if "weather tool" in made["messages"][1]["content"] or "time tool" in made["messages"][1]["content"]:
        return no_call(rng, split)
    return {"skill": "tool_unneeded", "messages": messages + made["messages"], "tools": schemas}


GENERATORS = [(call, 5), (use_result, 2), (parallel, 0.8), (no_call, 1.5)]

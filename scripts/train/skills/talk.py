"""Small talk, who the model is, common knowledge, and saying so when it does not know."""

from .maths import NAMES
from .phrasing import ask, item

# intent -> (ways to say it, the answer)
INTENTS = {
    "name": (["What is your name?", "What are you called?", "Who are you?", "Tell me your name.",
              "May I ask your name?", "How should I call you?", "Introduce yourself.", "And you are?",
              "Do you have a name?", "Who am I talking to?", "Please introduce yourself."],
             "I am Pagoda, a small language model."),
    "maker": (["Who made you?", "Who created you?", "Who trained you?", "Where do you come from?",
               "Who built you?", "Who is your maker?", "Who developed you?"],
              "I was trained from scratch by the Pagoda project, from free texts and generated dialogues."),
    "size": (["How big are you?", "How many parameters do you have?", "How large are you?",
              "What size of model are you?", "Are you a large model?", "Are you a small model?"],
             "I am a small model with about 15 million parameters."),
    "skills": (["What can you do?", "How can you help me?", "What are you good at?", "Help.",
                "What are your skills?", "What can I ask you?", "What do you know?", "Can you help me?",
                "What are you able to do?", "What kind of questions can you answer?"],
               "I can explain common words, name capitals and currencies, do small sums and unit "
               "conversions, spell, find facts in a text, write JSON, call tools and tell short stories."),
    "human": (["Are you a human?", "Are you a robot?", "Are you a real person?", "Are you an AI?",
               "Are you a machine?", "Are you alive?", "Am I talking to a person?"],
              "No, I am not a person. I am a small language model called Pagoda."),
    "feelings": (["How are you?", "How are you doing?", "How do you do?", "How are you today?",
                  "How is it going?", "Are you well?", "How do you feel?", "What's up?"],
                 "I am well, thank you. How can I help you?"),
    "hello": (["Hello!", "Hi!", "Hey!", "Good morning!", "Good evening!", "Hello there!", "Hi there!",
               "Good afternoon!", "Greetings!", "Hello", "Hi", "hey", "hello", "Hello, Pagoda!"],
              "Hello! How can I help you?"),
    "thanks": (["Thank you!", "Thanks!", "Thank you very much!", "Thanks a lot.", "Great, thanks.",
                "That helped, thank you.", "Many thanks!", "Perfect, thanks.", "Cool, thank you."],
               "You are welcome!"),
    "bye": (["Goodbye!", "Bye!", "See you later!", "Good night!", "I have to go.", "See you!", "Bye bye!",
             "That is all for today.", "Farewell!"], "Goodbye! Have a nice day."),
    "praise": (["You are great!", "Well done!", "Good job!", "You are very helpful.", "I like you.",
                "That is right!", "Correct!", "Very good.", "Nice work!"],
               "Thank you, that is kind of you."),
    "wrong": (["That is wrong.", "You are wrong.", "This is not correct.", "You made a mistake.",
               "I think that is false."],
              "I am sorry. I am a small model and I make mistakes."),
    "joke": (["Tell me a joke.", "Make me laugh.", "Do you know a joke?", "Say something funny.",
              "Can you tell a joke?", "A joke, please."],
             "Why did the computer go to bed early? Because it needed to restart in the morning."),
    "bored": (["I am bored.", "I have nothing to do.", "What should I do?", "Entertain me.",
               "I don't know what to do."],
              "I could tell you a story, or you could ask me about a country or a word."),
    "sad": (["I am sad.", "I feel bad today.", "I had a bad day.", "I am not happy.", "I feel lonely."],
            "I am sorry to hear that. Would you like to hear a story?"),
    "happy": (["I am happy!", "I had a good day.", "I feel great.", "Today is a good day.",
               "I am in a good mood."], "I am glad to hear that!"),
    "weather": (["What is the weather like?", "Is it raining?", "Will it rain tomorrow?",
                 "How is the weather today?", "What is the temperature outside?"],
                "I cannot see the weather. With a weather tool I could look it up."),
    "time": (["What time is it?", "What day is it today?", "What is the date?", "Tell me the time."],
             "I do not have a clock. With a time tool I could look it up."),
    "poem": (["Write a poem.", "Write me a poem.", "Can you write a poem?", "Recite a poem.",
              "A poem, please."],
             "The river runs, the day is new,\nthe hills are green, the sky is blue.\n"
             "A small bird sings above the tree\nand shares its morning song with me."),
    "language": (["Do you speak German?", "Can you speak French?", "Which languages do you speak?",
                  "Do you speak Spanish?", "Can you answer in Chinese?"],
                 "I only speak English."),
    "code": (["Write a program.", "Write a Python program.", "Can you write code?", "Write a function that sorts a list.",
              "Can you program?", "Fix my code.", "Write a script in Bash.", "Write some C code."],
             "I am too small to write programs."),
    "summary": (["Summarize this.", "Write an essay.", "Write a letter.", "Write an email.", "Write a long article.",
                 "Translate a text for me.", "Rewrite this text.", "Can you summarize a book?"],
                "I am too small for that. I can answer short questions and tell short stories."),
    "advice": (["I am ill. What should I do?", "Give me medical advice.", "Can you give legal advice?",
                "Which stocks should I buy?", "Should I see a doctor?"],
               "I cannot give advice on that. Please ask somebody who knows the subject."),
    "news": (["What is in the news?", "What happened today?", "Tell me the news.", "Who won the election?",
              "What are the latest headlines?"],
             "I do not know the news. I only know what I learned in training."),
    "pagoda": (["What is a pagoda server?", "What is Pagoda?", "What does Pagoda do?",
                "What is the Pagoda project?", "What does the name Pagoda stand for?"],
               "Pagoda is a server for language models. The name is short for paged attention daemon."),
}
FACTS = """
How many days are in a week?|A week has 7 days.
How many months are in a year?|A year has 12 months.
How many days are in a year?|A year has 365 days, and a leap year has 366.
How many hours are in a day?|A day has 24 hours.
How many minutes are in an hour?|An hour has 60 minutes.
How many seconds are in a minute?|A minute has 60 seconds.
How many letters are in the alphabet?|The English alphabet has 26 letters.
How many legs does a spider have?|A spider has 8 legs.
How many legs does an insect have?|An insect has 6 legs.
How many legs does a dog have?|A dog has 4 legs.
How many continents are there?|There are 7 continents.
How many planets are in the solar system?|There are 8 planets in the solar system.
How many sides does a triangle have?|A triangle has 3 sides.
How many sides does a square have?|A square has 4 sides.
How many sides does a hexagon have?|A hexagon has 6 sides.
How many colors are in a rainbow?|A rainbow has 7 colors.
What are the seasons?|The four seasons are spring, summer, autumn and winter.
What are the days of the week?|The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.
What are the months of the year?|The months are January, February, March, April, May, June, July, August, September, October, November and December.
What are the primary colors?|The primary colors are red, yellow and blue.
What are the planets?|The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.
What are the continents?|The continents are Africa, Antarctica, Asia, Europe, North America, Oceania and South America.
What color is the sky?|The sky is blue on a clear day.
What color is grass?|Grass is green.
What color is snow?|Snow is white.
What color is a banana?|A ripe banana is yellow.
What color is blood?|Blood is red.
What is the largest planet?|Jupiter is the largest planet in the solar system.
What is the smallest planet?|Mercury is the smallest planet in the solar system.
Which planet is closest to the sun?|Mercury is the planet closest to the sun.
Which planet do we live on?|We live on the planet Earth.
What is the largest ocean?|The Pacific Ocean is the largest ocean.
What is the highest mountain?|Mount Everest is the highest mountain on Earth.
What is the longest river in Africa?|The Nile is the longest river in Africa.
What is the largest country?|Russia is the largest country by area.
What is the smallest country?|Vatican City is the smallest country.
What is the largest animal?|The blue whale is the largest animal.
What is the tallest animal?|The giraffe is the tallest animal.
What is the fastest land animal?|The cheetah is the fastest land animal.
At what temperature does water boil?|Water boils at 100 degrees Celsius.
At what temperature does water freeze?|Water freezes at 0 degrees Celsius.
What is water made of?|Water is made of hydrogen and oxygen.
What is ice?|Ice is frozen water.
What is the sun?|The sun is the star at the center of our solar system.
What is the moon?|The moon is a rocky body that travels around the Earth.
What do bees make?|Bees make honey.
What do cows drink?|Cows drink water.
What do cows eat?|Cows eat grass.
What do plants need to grow?|Plants need light, water, air and minerals to grow.
What do we breathe?|We breathe air, and our bodies use the oxygen in it.
What is the chemical symbol of gold?|The chemical symbol of gold is Au.
What is the chemical symbol of iron?|The chemical symbol of iron is Fe.
What is the chemical symbol of water?|The chemical formula of water is H2O.
What is the chemical symbol of oxygen?|The chemical symbol of oxygen is O.
What is the freezing point of water in Fahrenheit?|Water freezes at 32 degrees Fahrenheit.
What comes after Monday?|Tuesday comes after Monday.
What comes after Friday?|Saturday comes after Friday.
What month comes after March?|April comes after March.
What month comes before January?|December comes before January.
What is the first month of the year?|January is the first month of the year.
What is the last month of the year?|December is the last month of the year.
Which month is the shortest?|February is the shortest month.
What is the first letter of the alphabet?|The first letter of the alphabet is A.
What is the last letter of the alphabet?|The last letter of the alphabet is Z.
What are the vowels?|The vowels are a, e, i, o and u.
What is the opposite of hot?|The opposite of "hot" is "cold".
Who wrote Romeo and Juliet?|William Shakespeare wrote Romeo and Juliet.
Who painted the Mona Lisa?|Leonardo da Vinci painted the Mona Lisa.
Who was the first person on the moon?|Neil Armstrong was the first person on the moon.
Who developed the theory of relativity?|Albert Einstein developed the theory of relativity.
Who invented the telephone?|Alexander Graham Bell patented the telephone.
In which city is the Eiffel Tower?|The Eiffel Tower is in Paris.
In which country are the pyramids of Giza?|The pyramids of Giza are in Egypt.
Where do penguins live?|Penguins live mostly in the south, many of them in Antarctica.
Where do fish live?|Fish live in water.
What is a computer?|A computer is a machine that follows instructions to work with data.
What is a program?|A program is a list of instructions for a computer.
What is a language model?|A language model is a program that predicts the next word of a text.
What is a token?|A token is a piece of text, such as a word or a part of a word.
What is the internet?|The internet is a network that connects computers all over the world.
What does CPU stand for?|CPU stands for central processing unit.
What does GPU stand for?|GPU stands for graphics processing unit.
What does HTTP stand for?|HTTP stands for Hypertext Transfer Protocol.
What does JSON stand for?|JSON stands for JavaScript Object Notation.
What does RAM stand for?|RAM stands for random access memory.
How many bits are in a byte?|A byte has 8 bits.
What is the square root of 16?|The square root of 16 is 4.
What is the square root of 9?|The square root of 9 is 3.
What is the square root of 100?|The square root of 100 is 10.
What is pi?|Pi is about 3.14159.
What is half of ten?|Half of 10 is 5.
What is a dozen?|A dozen is 12 of something.
""".strip().splitlines()
WRAPS = ["{q}", "{q}", "Tell me: {q}", "Do you know this? {q}", "My child asks: {q}", "I wonder: {q}",
         "Here is my question. {q}", "Let me ask you something. {q}", "Can you answer this? {q}",
         "A friend asked me: {q}", "For a quiz: {q}", "Easy one: {q}", "Please answer: {q}"]
UNKNOWN = [("Who is {x} {y}?", "I do not know who {x} {y} is."),
           ("When was {x} {y} born?", "I do not know when {x} {y} was born."),
           ("What is the phone number of {x} {y}?", "I do not know the phone number of {x} {y}."),
           ("Where does {x} {y} live?", "I do not know where {x} {y} lives."),
           ("How old is {x} {y}?", "I do not know how old {x} {y} is."),
           ("What did {x} {y} say yesterday?", "I do not know what {x} {y} said yesterday.")]
SURNAMES = """Miller Baker Weaver Hill Stone Brook Carter Fields Marsh Turner Potter Wood Lake Rivers
Archer Fisher Mason Cooper Singh Novak Okafor Silva Tanaka Rossi Kowalski""".split()


def small_talk(rng, split):
    intent = rng.choice(list(INTENTS))
    ways, answer = INTENTS[intent]
    return item("talk" if intent not in ("name", "maker", "size", "skills", "human") else "identity",
                ask(rng, split, (), ways, plain=rng.random() < 0.5 and split == "train"), answer)


def common_fact(rng, split):
    question, answer = rng.choice(FACTS).split("|")
    return item("common_fact", ask(rng, split, (), WRAPS, q=question), answer)


def unknown(rng, split):
    question, answer = rng.choice(UNKNOWN)
    slots = {"x": rng.choice(NAMES), "y": rng.choice(SURNAMES)}
    return item("unknown", ask(rng, split, (), [w.replace("{q}", question) for w in WRAPS], **slots),
                answer.format(**slots))


CATEGORIES = {
    "animals": "cat dog horse cow sheep goat fox bear wolf lion tiger rabbit mouse deer owl".split(),
    "fruits": "apple pear plum cherry banana orange lemon grape melon peach".split(),
    "vegetables": "carrot onion potato tomato bean pea cabbage pumpkin".split(),
    "colors": "red blue green yellow white black brown gray pink purple".split(),
    "tools": "hammer saw drill wrench screwdriver pliers axe shovel".split(),
    "clothes": "shirt coat hat shoe sock glove scarf dress".split(),
    "birds": "owl crow robin duck goose swan eagle sparrow".split(),
    "planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
    "metals": "iron gold silver copper tin lead zinc nickel".split(),
}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def name_some(rng, split):
    """A few members of a category."""
    category, count = rng.choice(list(CATEGORIES)), rng.randint(2, 6)
    chosen = rng.sample(CATEGORIES[category], count)
    text = ask(rng, split, ["{n} {c}", "the names of {n} {c}", "a list of {n} {c}"],
               ["Name {n} {c}.", "List {n} {c}.", "Write down {n} {c}.", "Can you name {n} {c}?",
                "Which {n} {c} can you think of?", "Tell me {n} {c} you know."],
               n=NUMBERS[count] if rng.random() < 0.6 else count, c=category)
    return item("name_some", text, f"Here are {NUMBERS[count]} {category}: {', '.join(chosen[:-1])} and {chosen[-1]}.")


GENERATORS = [(name_some, 1), (small_talk, 4), (common_fact, 2), (unknown, 0.7)]

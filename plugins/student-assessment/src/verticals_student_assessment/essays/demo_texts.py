"""Sentences of which the demo's essays are composed, all written for this project.

Of each topic: the prompt, and for each part of an essay the same kind of thought in plain, fair
and rich words. Nobody wrote these essays, and no sentence is taken from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Tiers = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # plain, fair, rich


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Hold a prompt and the sentences that answer it; `counter` is what others say against it."""

    prompt: str
    opening: Tiers
    reason: Tiers
    example: Tiers
    counter: Tiers
    closing: Tiers


#: What joins sentences where an essay is well organised: one list for each part.
CONNECTIVES: Mapping[str, tuple[str, ...]] = {
    "reason": ("First of all,", "Moreover,", "In addition,", "Finally,"),
    "example": ("For example,", "To give an example,"),
    "counter": ("Admittedly,", "On the other hand,"),
    "closing": ("In conclusion,", "All in all,"),
}

_PHONES = Topic(
    prompt="Should students be allowed to use their phones at school?",
    opening=(
        ("I think phones are good for school.", "Phones in school is a thing many people talk of."),
        (
            "Many people ask whether students should use their phones at school.",
            "I believe that students should be allowed to have a phone in school.",
        ),
        (
            "Few questions divide teachers and families as much as whether phones belong in class.",
            "A phone can distract a student, yet used with care it is a remarkable tool to learn.",
        ),
    ),
    reason=(
        (
            "A phone can help you find things fast.",
            "You can call your mom if you are sick.",
            "Phones are fun and school is long.",
        ),
        (
            "Students can look up a word or a fact when the teacher is busy.",
            "A phone makes it easy to reach the family when plans change.",
            "We can take a picture of the board and study it at home.",
        ),
        (
            "Searching for reliable information is a skill that students will always need.",
            "Families feel reassured when their children can be reached in an emergency.",
            "Recording a demonstration lets students revise it at their own pace afterwards.",
        ),
    ),
    example=(
        ("One day I was sick and I called my mom.", "My friend uses his phone in math."),
        (
            "Last year I forgot my book, so I read the chapter on my phone.",
            "My cousin learns new words with an app on the bus every day.",
        ),
        (
            "When our laboratory lost its only thermometer, a borrowed phone sensor replaced it.",
            "My neighbour practised pronunciation by comparing recordings of her own voice.",
        ),
    ),
    counter=(
        ("Some people say phones are bad.",),
        ("Some teachers say that students only play games in class.",),
        ("Critics object that constant notifications fragment the attention of an entire class.",),
    ),
    closing=(
        ("So phones are good.", "That is why I like phones in school."),
        (
            "Phones can help us when the rules are clear.",
            "Schools should let students use phones at the right time.",
        ),
        (
            "Clear rules, rather than a complete ban, would teach students responsibility.",
            "A school that trusts its students with phones prepares them for adult life.",
        ),
    ),
)

_UNIFORM = Topic(
    prompt="Should all students wear a school uniform?",
    opening=(
        ("I do not like to wear a uniform.", "Uniforms is when all kids wear the same."),
        (
            "Our principal wants every student to wear a uniform next year.",
            "In my opinion students should choose their own clothes.",
        ),
        (
            "Clothing is one of the first ways in which young people express who they are.",
            "The proposal of a compulsory uniform deserves a more thoughtful debate.",
        ),
    ),
    reason=(
        (
            "The clothes are not nice and they cost a lot.",
            "I want to wear what I like.",
            "A uniform is hot in the summer.",
        ),
        (
            "Families have to buy special clothes that children cannot wear on weekends.",
            "Students feel better when they can pick clothes that fit them.",
            "Wearing the same shirt does not stop students from being unkind.",
        ),
        (
            "The expense falls hardest on families with several children and a modest income.",
            "Choosing appropriate clothing is a small responsibility that builds independence.",
            "Uniform rules are often enforced inconsistently, which students perceive as unjust.",
        ),
    ),
    example=(
        ("My brother had a uniform and he hated it.", "My friend got a shirt and it was too big."),
        (
            "At my old school the uniform cost more than all my other clothes.",
            "My sister had to go home once because her socks had the wrong color.",
        ),
        (
            "When a neighbouring school abolished its uniform, attendance did not suffer at all.",
            "A classmate borrowed a jacket for months because the official one was unaffordable.",
        ),
    ),
    counter=(
        ("Some people say it is good to look the same.",),
        ("Other people think that a uniform makes everybody equal.",),
        ("Supporters argue that identical clothing conceals differences of wealth.",),
    ),
    closing=(
        ("So I say no to uniforms.", "This is why it is bad."),
        (
            "Students should be free to choose their clothes within simple rules.",
            "A dress code is enough, and a uniform is too much.",
        ),
        (
            "A reasonable dress code would achieve the same purpose at a fraction of the cost.",
            "Respect grows from how we treat each other, not from the fabric that we wear.",
        ),
    ),
)

_PARK = Topic(
    prompt="Your town has money for either a park or a library. Which one should it build?",
    opening=(
        ("I want a park in my town.", "A park is better than a library."),
        (
            "Our town can build a park or a library, and I would choose the park.",
            "I believe that a new park would help more people than a library.",
        ),
        (
            "A town reveals its values by the places that it builds for everyone to share.",
            "Both a library and a park would enrich our town, but a park serves a broader public.",
        ),
    ),
    reason=(
        (
            "You can play and run in a park.",
            "A park has trees and it is nice.",
            "Kids can meet friends there.",
        ),
        (
            "People of every age can walk and rest in a park for free.",
            "Children need a safe place to play after school.",
            "Trees make the air cleaner and the streets less hot.",
        ),
        (
            "Regular exercise outdoors measurably improves both physical and mental health.",
            "Green spaces moderate the summer heat and shelter birds and insects.",
            "Neighbours who would never meet otherwise become acquainted in a shared garden.",
        ),
    ),
    example=(
        ("We play soccer on the street and it is bad.", "My grandma likes to sit in a park."),
        (
            "Last summer my friends and I had no place to play but the street.",
            "In the next town families have picnics in the park every Sunday.",
        ),
        (
            "After the riverside was planted, my grandfather began to walk there every morning.",
            "The neighbouring village holds concerts in its park that attract hundreds.",
        ),
    ),
    counter=(
        ("Some people like books more.",),
        ("Some people say that students need a quiet place to read.",),
        ("Advocates of a library rightly emphasise its importance for poorer students.",),
    ),
    closing=(
        ("So build a park.", "A park is the best for all."),
        (
            "For these reasons the town should build the park.",
            "The park would make our town a better place to live.",
        ),
        (
            "A park would repay its cost for generations in health, beauty and companionship.",
            "The council should therefore choose the investment that every resident can enjoy.",
        ),
    ),
)

_MISTAKES = Topic(
    prompt="Do people learn more from their mistakes or from their successes?",
    opening=(
        ("Everybody makes mistakes.", "I think you learn from mistakes."),
        (
            "I agree that people learn more from mistakes than from success.",
            "Nobody likes to fail, but a mistake can teach us a lot.",
        ),
        (
            "Success flatters us, whereas a mistake obliges us to examine what we actually did.",
            "Failure is an uncomfortable teacher, but its lessons are seldom forgotten.",
        ),
    ),
    reason=(
        (
            "If you do it wrong you try again.",
            "A mistake shows you what is bad.",
            "You get strong if you do not give up.",
        ),
        (
            "When we fail, we think about what went wrong and try another way.",
            "A person who never fails does not know how to solve problems.",
            "Mistakes make us patient with other people too.",
        ),
        (
            "Analysing an error exposes the hidden assumption that led us astray.",
            "Persistence is acquired only by those who have had a reason to give up and did not.",
            "Acknowledging our own failures makes us more generous towards those of others.",
        ),
    ),
    example=(
        ("I failed a test and then I studied.", "My dad lost his job and got a new one."),
        (
            "In my first game I lost the ball, so I practiced every evening.",
            "My uncle burned many cakes before he opened his bakery.",
        ),
        (
            "My first speech was a disaster, and it persuaded me to rehearse with strangers.",
            "An engineer I know keeps a collapsed model on her desk as a permanent reminder.",
        ),
    ),
    counter=(
        ("Some people learn from winning.",),
        ("Of course success can teach us what works.",),
        ("Success undoubtedly strengthens confidence, without which nobody dares anything.",),
    ),
    closing=(
        ("So mistakes are good.", "Do not be afraid of mistakes."),
        (
            "This is why we should not be afraid to fail.",
            "Mistakes are part of learning, and everyone should accept them.",
        ),
        (
            "Those who reflect on their failures honestly are prepared for whatever follows.",
            "A mistake that is understood is worth more than a success that is merely enjoyed.",
        ),
    ),
)

TOPICS: Mapping[str, Topic] = {
    "phones": _PHONES,
    "uniform": _UNIFORM,
    "park": _PARK,
    "mistakes": _MISTAKES,
}

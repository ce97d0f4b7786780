"""What all the scripts here share: a client is asked for one fact after the other, by lines of JSON on stdin, and answers so on stdout."""

import asyncio
import inspect
import json
import os
import sys
import traceback

QUESTION = "good morning"
TOOL_QUESTION = "tell me the weather and the time in Oslo"


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


TOOLS = {"get_weather": get_weather, "get_time": get_time}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def thrown_by(call):
    """What is known of what a call throws."""
    try:
        call()
    except Exception as error:
        return described(error)
    return "nothing"


def described(error):
    types = [kind.__name__ for kind in type(error).__mro__]
    return {"types": types, "status": getattr(error, "status_code", None)}


def serve(client):
    """Until stdin ends. Each line names a fact, `base_url` and `api_key`; each answer holds its value, or why there is none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            value = getattr(client, asked["fact"])(asked["base_url"], asked["api_key"])
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
            answer = {"value": value}
        except Exception:
            answer = {"error": traceback.format_exc()[-4000:]}
        print(json.dumps(answer), file=answers, flush=True)

"""The support desk once more, in Python and without any package: an agent can be written in any language.

OPENAI_BASE_URL and OPENAI_API_KEY in the environment, {"input": {"query": ...}, "model": ...} as JSON on stdin; the last
line of stdout is the result.
"""

import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request

DATA = pathlib.Path(__file__).parent / "data" / "domains.json"
ESCALATE = "escalate_to_human"
SYSTEM_PROMPT = (
    "You are the front desk of a customer service. Call the one tool that handles the request; "
    "if none does, call escalate_to_human."
)


def tool(name, description):
    parameters = {
        "type": "object",
        "properties": {"input": {"type": "string"}},
        "required": ["input"],
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def offered_tools():
    domains = json.loads(DATA.read_text(encoding="utf-8"))
    tools = [
        tool(name, f'Handle a customer\'s request about "{name.replace("_", " ")}" ({domain.replace("_", " ")}).')
        for domain, names in domains.items()
        for name in names
    ]
    escalate = "Hand the customer over to a human colleague, when no other tool fits the request."
    return [*tools, tool(ESCALATE, escalate)]


def complete(body, attempts=3):
    """POST /chat/completions; tries again when the server is busy or broken, as OpenAI's own client does."""
    request = urllib.request.Request(
        os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions",
        data=json.dumps(body).encode("utf-8"),
        headers={
            "content-type": "application/json",
            "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
        },
    )
    for attempt in range(1, attempts + 1):
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            is_transient = error.code in (408, 409, 429) or error.code >= 500
            if not is_transient or attempt == attempts:
                detail = error.read().decode("utf-8", "replace")
                raise SystemExit(f"the model answered HTTP {error.code}: {detail}") from error
        except urllib.error.URLError:
            if attempt == attempts:
                raise
        time.sleep(0.5 * 2 ** (attempt - 1))


def main():
    job = json.load(sys.stdin)
    query = job["input"]["query"]
    completion = complete(
        {
            "model": job["model"],
            "messages": [
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": query},
            ],
            "tools": offered_tools(),
        }
    )
    message = completion["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    if calls:
        action = calls[0]["function"]["name"]
        done = f'took care of "{action.replace("_", " ")}" for the request "{query}"'
    else:
        action, done = "reply", message.get("content") or ""
    print(json.dumps({"action": action, "done": done}))


if __name__ == "__main__":
    main()

import json
import sys

from openai import OpenAI

from facts import CITY, QUESTION, TOOL_QUESTION, TOOLS, serve, thrown_by

TOOL_LIST = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in TOOLS]
FLAT = [{"type": "function", "name": name, "parameters": CITY, "strict": False} for name in TOOLS]


def client(base_url, api_key):
    return OpenAI(base_url=base_url, api_key=api_key, max_retries=0)


class Chat:
    def plain(self, *access):
        messages = [{"role": "user", "content": QUESTION}]
        answer = client(*access).chat.completions.create(model="gpt-4o", messages=messages)
        return answer.choices[0].message.content

    def stream(self, *access):
        messages = [{"role": "user", "content": QUESTION}]
        chunks = client(*access).chat.completions.create(
            model="gpt-4o", messages=messages, stream=True
        )
        # As most code does it, which breaks on a chunk without choices that nobody asked for.
        pieces = [chunk.choices[0].delta.content for chunk in chunks]
        return [piece for piece in pieces if piece]

    def converse(self, ask):
        messages = [{"role": "user", "content": TOOL_QUESTION}]
        while True:
            message = ask(messages).choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message)
            for call in message.tool_calls:
                content = TOOLS[call.function.name](**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})

    def tools(self, *access):
        create = client(*access).chat.completions.create
        return self.converse(lambda asked: create(model="gpt-4o", messages=asked, tools=TOOL_LIST))

    def toolsInStream(self, *access):
        def ask(messages):
            stream = client(*access).chat.completions.stream
            with stream(model="gpt-4o", messages=messages, tools=TOOL_LIST) as events:
                return events.get_final_completion()

        return self.converse(ask)

    def refused(self, *access):
        messages = [{"role": "user", "content": QUESTION}]
        create = client(*access).chat.completions.create
        return thrown_by(lambda: create(model="limited", messages=messages))


class Responses:
    def plain(self, *access):
        return client(*access).responses.create(model="gpt-4o", input=QUESTION).output_text

    def stream(self, *access):
        events = client(*access).responses.create(model="gpt-4o", input=QUESTION, stream=True)
        return [event.delta for event in events if event.type == "response.output_text.delta"]

    def respond(self, ask):
        items = [{"role": "user", "content": TOOL_QUESTION}]
        while True:
            response = ask(items)
            if response.output_text:
                return response.output_text
            items += response.output
            for call in response.output:
                output = TOOLS[call.name](**json.loads(call.arguments))
                result = {"type": "function_call_output", "call_id": call.call_id}
                items.append({**result, "output": output})

    def tools(self, *access):
        create = client(*access).responses.create
        return self.respond(lambda items: create(model="gpt-4o", input=items, tools=FLAT))

    def toolsInStream(self, *access):
        def ask(items):
            stream = client(*access).responses.stream
            with stream(model="gpt-4o", input=items, tools=FLAT) as events:
                return events.get_final_response()

        return self.respond(ask)

    def refused(self, *access):
        create = client(*access).responses.create
        return thrown_by(lambda: create(model="limited", input=QUESTION))


serve(Responses() if sys.argv[1:] == ["responses"] else Chat())

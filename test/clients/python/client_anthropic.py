from anthropic import Anthropic

from facts import CITY, QUESTION, TOOL_QUESTION, TOOLS, serve, thrown_by

ASKED = {"max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
TOOL_LIST = [{"name": name, "input_schema": CITY} for name in TOOLS]


def client(base_url, api_key):
    # It adds /v1 itself.
    return Anthropic(base_url=base_url.removesuffix("/v1"), api_key=api_key, max_retries=0)


class Messages:
    def plain(self, *access):
        return client(*access).messages.create(model="claude-sonnet-5", **ASKED).content[0].text

    def stream(self, *access):
        with client(*access).messages.stream(model="claude-sonnet-5", **ASKED) as stream:
            return list(stream.text_stream)

    def converse(self, ask):
        messages = [{"role": "user", "content": TOOL_QUESTION}]
        while True:
            message = ask({"max_tokens": 100, "messages": messages, "tools": TOOL_LIST})
            if message.stop_reason != "tool_use":
                return message.content[0].text
            messages.append({"role": "assistant", "content": message.content})
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": block.id,
                    "content": TOOLS[block.name](**block.input),
                }
                for block in message.content
            ]
            messages.append({"role": "user", "content": results})

    def tools(self, *access):
        create = client(*access).messages.create
        return self.converse(lambda asked: create(model="claude-sonnet-5", **asked))

    def toolsInStream(self, *access):
        def ask(asked):
            with client(*access).messages.stream(model="claude-sonnet-5", **asked) as stream:
                return stream.get_final_message()

        return self.converse(ask)

    def refused(self, *access):
        create = client(*access).messages.create
        return thrown_by(lambda: create(model="claude-limited", **ASKED))


serve(Messages())

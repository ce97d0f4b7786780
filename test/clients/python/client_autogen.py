from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient

from facts import QUESTION, TOOL_QUESTION, described, get_time, get_weather, serve

ASKED = [UserMessage(content=QUESTION, source="user")]
INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}


def client(base_url, api_key, model="gpt-4o"):
    return OpenAIChatCompletionClient(
        model=model, base_url=base_url, api_key=api_key, max_retries=0, model_info=INFO
    )


class AutoGen:
    async def plain(self, *access):
        return (await client(*access).create(ASKED)).content

    async def stream(self, *access):
        pieces = [piece async for piece in client(*access).create_stream(ASKED)]
        return [piece for piece in pieces if isinstance(piece, str)]

    async def converse(self, access, is_stream):
        agent = AssistantAgent(
            "desk",
            model_client=client(*access),
            tools=[get_weather, get_time],
            system_message=None,
            reflect_on_tool_use=True,
            model_client_stream=is_stream,
        )
        return (await agent.run(task=TOOL_QUESTION)).messages[-1].content

    async def tools(self, *access):
        return await self.converse(access, False)

    async def toolsInStream(self, *access):
        return await self.converse(access, True)

    async def refused(self, *access):
        try:
            await client(*access, model="limited").create(ASKED)
        except Exception as error:
            return described(error)
        return "nothing"


serve(AutoGen())

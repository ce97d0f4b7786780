import sys

from agents import (
    Agent,
    OpenAIProvider,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from facts import QUESTION, TOOL_QUESTION, described, get_time, get_weather, serve

set_tracing_disabled(True)  # it would go to OpenAI

TOOL_LIST = [function_tool(get_weather), function_tool(get_time)]


class Agents:
    def __init__(self, use_responses):
        self.use_responses = use_responses

    def config(self, base_url, api_key):
        client = AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        provider = OpenAIProvider(openai_client=client, use_responses=self.use_responses)
        return RunConfig(model_provider=provider)

    def agent(self, model="gpt-4o", tools=()):
        return Agent(name="desk", model=model, tools=list(tools))

    async def run(self, access, agent, question):
        result = await Runner.run(agent, question, run_config=self.config(*access))
        return result.final_output

    async def run_streamed(self, access, agent, question):
        result = Runner.run_streamed(agent, question, run_config=self.config(*access))
        return [
            event.data.delta
            async for event in result.stream_events()
            if event.type == "raw_response_event"
            and event.data.type == "response.output_text.delta"
        ]

    async def plain(self, *access):
        return await self.run(access, self.agent(), QUESTION)

    async def stream(self, *access):
        return await self.run_streamed(access, self.agent(), QUESTION)

    async def tools(self, *access):
        return await self.run(access, self.agent(tools=TOOL_LIST), TOOL_QUESTION)

    async def toolsInStream(self, *access):
        pieces = await self.run_streamed(access, self.agent(tools=TOOL_LIST), TOOL_QUESTION)
        return "".join(pieces)

    async def refused(self, *access):
        try:
            await self.run(access, self.agent(model="limited"), QUESTION)
        except Exception as error:
            return described(error)
        return "nothing"


serve(Agents(use_responses=sys.argv[1:] != ["chat"]))

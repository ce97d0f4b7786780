import sys

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

from facts import QUESTION, TOOL_QUESTION, TOOLS, get_time, get_weather, serve, thrown_by

TOOL_LIST = [tool(get_weather), tool(get_time)]


def client(base_url, api_key, model="gpt-4o"):
    return ChatOpenAI(model=model, base_url=base_url, api_key=api_key, max_retries=0)


class LangChain:
    def plain(self, *access):
        return client(*access).invoke(QUESTION).content

    def stream(self, *access):
        pieces = [chunk.content for chunk in client(*access).stream(QUESTION)]
        return [piece for piece in pieces if piece]

    def converse(self, ask):
        messages = [HumanMessage(TOOL_QUESTION)]
        while True:
            message = ask(messages)
            if not message.tool_calls:
                return message.content
            messages.append(message)
            for call in message.tool_calls:
                content = TOOLS[call["name"]](**call["args"])
                messages.append(ToolMessage(content, tool_call_id=call["id"]))

    def tools(self, *access):
        return self.converse(client(*access).bind_tools(TOOL_LIST).invoke)

    def toolsInStream(self, *access):
        def ask(messages):
            whole = None
            for chunk in client(*access).bind_tools(TOOL_LIST).stream(messages):
                whole = chunk if whole is None else whole + chunk
            return whole

        return self.converse(ask)

    def refused(self, *access):
        return thrown_by(lambda: client(*access, model="limited").invoke(QUESTION))


class LangGraph(LangChain):
    def tools(self, *access):
        agent = create_react_agent(client(*access), TOOL_LIST)
        answer = agent.invoke({"messages": [HumanMessage(TOOL_QUESTION)]})
        return answer["messages"][-1].content

    def toolsInStream(self, *access):
        agent = create_react_agent(client(*access), TOOL_LIST)
        asked = {"messages": [HumanMessage(TOOL_QUESTION)]}
        # As chat windows do it: the model's tokens as they come.
        pieces = agent.stream(asked, stream_mode="messages")
        return "".join(part.content for part, _ in pieces if isinstance(part, AIMessageChunk))


serve(LangGraph() if sys.argv[1:] == ["langgraph"] else LangChain())

"""LangGraph with langchain-mcp-adapters: a graph of a model and the tools of Barograph.

How to run, with a server that is up (`barograph serve --sample --data my-data`):

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python agent.py http://127.0.0.1:8765

No key of a model provider is needed: the model here is LangChain's own fake one, which asks for one tool and then reads
what came. Put yours in its place with `yours.bind_tools(tools)`. What is printed is what your model would see.

langchain-mcp-adapters needs mcp < 2: keep it out of the environment of the server.
"""

import asyncio
import sys

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

CALL = {"name": "get_market_regime", "args": {"symbol": "SIMETH"}, "id": "call-1"}


async def main(url: str) -> None:
    client = MultiServerMCPClient({"barograph": {"transport": "streamable_http", "url": f"{url}/mcp"}})
    tools = await client.get_tools()
    model = GenericFakeChatModel(messages=iter([AIMessage("", tool_calls=[CALL]), AIMessage("SIMETH has no trend.")]))

    async def think(state: MessagesState) -> dict[str, list[AIMessage]]:
        for message in state["messages"]:
            if isinstance(message, ToolMessage):
                print(message.text)  # content blocks, as text: what the model reads
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    await graph.compile().ainvoke({"messages": [HumanMessage("Is SIMETH trending?")]})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

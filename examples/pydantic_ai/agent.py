"""pydantic-ai: an agent with Barograph as its MCP server.

How to run, with a server that is up (`barograph serve --sample --data my-data`):

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python agent.py http://127.0.0.1:8765

No key of a model provider is needed: pydantic-ai's own FunctionModel stands for the model, asks for one tool and then
reads what came. Put yours in its place, as the first argument of Agent. What is printed is what your model would see.
"""

import asyncio
import sys

from pydantic_ai import Agent, ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.function import AgentInfo, FunctionModel


def scripted(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Calls one tool, prints what it is told, and ends."""
    told = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
    if not told:
        assert "get_market_regime" in [tool.name for tool in info.function_tools]
        return ModelResponse(parts=[ToolCallPart("get_market_regime", {"symbol": "SIMETH"})])
    for part in told:
        print(part.model_response_str())
    return ModelResponse(parts=[TextPart("SIMETH has no trend.")])


async def main(url: str) -> None:
    agent = Agent(
        FunctionModel(scripted),
        instructions="Ask Barograph before you say anything about a market.",
        toolsets=[MCPToolset(f"{url}/mcp")],
    )
    async with agent:
        await agent.run("Is SIMETH trending?")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""AutoGen: an assistant with the tools of Barograph.

How to run, with a server that is up (`barograph serve --sample --data my-data`):

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python agent.py http://127.0.0.1:8765

No key of a model provider is needed: AutoGen's own replaying client stands for the model and asks for one tool. Put
yours in its place, e.g. OpenAIChatCompletionClient. What is printed is what your model would see.

AutoGen 0.7 needs mcp < 2: keep it out of the environment of the server.
"""

import asyncio
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, FunctionExecutionResultMessage, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from autogen_ext.tools.mcp import StreamableHttpServerParams, mcp_server_tools

CALL = FunctionCall(id="call-1", name="get_market_regime", arguments='{"symbol": "SIMETH"}')
ASKS = CreateResult(
    finish_reason="function_calls",
    content=[CALL],
    usage=RequestUsage(prompt_tokens=0, completion_tokens=0),
    cached=False,
)
CAN = ModelInfo(vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False)


async def main(url: str) -> None:
    tools = await mcp_server_tools(StreamableHttpServerParams(url=f"{url}/mcp"))
    model = ReplayChatCompletionClient([ASKS, "SIMETH has no trend."], model_info=CAN)
    agent = AssistantAgent("trader", model_client=model, tools=tools, reflect_on_tool_use=True)
    await agent.run(task="Is SIMETH trending?")
    for message in model.create_calls[-1]["messages"]:
        if isinstance(message, FunctionExecutionResultMessage):
            print("\n".join(result.content for result in message.content))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

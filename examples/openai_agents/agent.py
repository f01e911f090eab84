"""OpenAI Agents SDK: an agent with Barograph as its MCP server.

How to run, with a server that is up (`barograph serve --sample --data my-data`):

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python agent.py http://127.0.0.1:8765

No key of a model provider is needed: `Scripted` stands for the model, asks for one tool and then reads what came. Leave
`model=` out, and the agent asks OpenAI. What is printed is what your model would see.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class Scripted(Model):
    """Calls one tool, prints what it is told, and ends."""

    async def get_response(self, *_: Any, **asked: Any) -> ModelResponse:
        said = [] if isinstance(asked["input"], str) else asked["input"]
        outputs = [item for item in said if item.get("type") == "function_call_output"]
        if not outputs:
            return self._says(
                ResponseFunctionToolCall(
                    name="get_market_regime", arguments='{"symbol": "SIMETH"}', call_id="call-1", type="function_call"
                )
            )
        for item in outputs:
            output = item["output"]
            print(output if isinstance(output, str) else "\n".join(part["text"] for part in output))
        text = ResponseOutputText(text="SIMETH has no trend.", type="output_text", annotations=[])
        return self._says(
            ResponseOutputMessage(id="1", role="assistant", status="completed", type="message", content=[text])
        )

    def _says(self, item: Any) -> ModelResponse:
        return ModelResponse(output=[item], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("this example does not stream")


async def main(url: str) -> None:
    set_tracing_disabled(True)  # traces go to OpenAI, and need a key
    async with MCPServerStreamableHttp(params={"url": f"{url}/mcp"}, cache_tools_list=True) as barograph:
        agent = Agent(
            name="trader",
            instructions="Ask Barograph before you say anything about a market.",
            model=Scripted(),
            mcp_servers=[barograph],
        )
        await Runner.run(agent, "Is SIMETH trending?")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

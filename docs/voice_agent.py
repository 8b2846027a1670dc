"""A voice agent that hears through Parlance, made with LiveKit Agents.

    pip install livekit-agents==1.8.9 livekit-plugins-openai==1.8.9
    python docs/voice_agent.py dev

Its settings are environment variables:

    PARLANCE_URL, PARLANCE_API_KEY      where it hears: http://localhost:7860/v1
    LLM_URL, LLM_API_KEY, LLM_MODEL     what it thinks with: any chat API in OpenAI's form
    TTS_URL, TTS_API_KEY, TTS_MODEL     what it speaks with, likewise; without TTS_URL it writes
    LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET     the LiveKit server where people talk to it
"""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentSession, JobContext, TurnHandlingOptions, WorkerOptions, cli
from livekit.plugins import openai

INSTRUCTIONS = "You are a friendly assistant. People speak with you: answer in one or two short sentences."


def at(service: str) -> dict[str, str]:
    return {
        "base_url": os.environ[f"{service}_URL"],
        "api_key": os.environ.get(f"{service}_API_KEY") or "none",
    }


def session() -> AgentSession:
    """The agent's ears, mind and voice. Parlance says when a turn begins and ends, by its voice detector."""
    ears = openai.STT(
        **at("PARLANCE"),
        model="gpt-4o-transcribe",  # to Parlance, this and OpenAI's other names mean the model it runs
        language="en",
        use_realtime=True,
        turn_detection={"type": "server_vad", "silence_duration_ms": 400, "prefix_padding_ms": 300},
    )
    mind = openai.LLM(**at("LLM"), model=os.environ["LLM_MODEL"])
    speaks = "TTS_URL" in os.environ
    return AgentSession(
        stt=ears,
        llm=mind,
        tts=openai.TTS(**at("TTS"), model=os.environ["TTS_MODEL"]) if speaks else None,
        turn_handling=TurnHandlingOptions(turn_detection="stt"),
    )


async def join(job: JobContext) -> None:
    await session().start(Agent(instructions=INSTRUCTIONS), room=job.room)


if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=join))

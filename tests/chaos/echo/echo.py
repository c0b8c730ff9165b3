"""Echoes every message by the library websockets, and prints its port first."""

import asyncio

import websockets


async def echo(ws, path=None):
    try:
        async for message in ws:
            await ws.send(message)
    except websockets.ConnectionClosed:
        pass


async def main():
    settings = {"max_size": None, "ping_interval": None, "close_timeout": 600}
    async with websockets.serve(echo, "127.0.0.1", 0, **settings) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())

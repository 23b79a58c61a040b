"""What all tests with ccxt.pro share: its clients, the frames they were sent, and patience."""

import asyncio
import contextlib
import unittest

import ccxt.pro

from ccxt_world import Ccxt, at_this_exchange
from world import PATIENCE_S, POLL_S, REST_URL, WS_URL, keys


class Listener(ccxt.pro.backpack):
    """ccxt.pro as it is published; it only keeps each frame before it looks at it."""

    def __init__(self, config):
        self.frames = []
        super().__init__(config)

    def handle_message(self, client, message):
        self.frames.append(message)
        super().handle_message(client, message)

    def heard(self, stream):
        """Data of every frame of a stream, in order."""
        return [frame["data"] for frame in self.frames if frame.get("stream") == stream]


async def soon(what, waiting):
    """What a call answers that must not wait for ever."""
    try:
        return await asyncio.wait_for(waiting, PATIENCE_S)
    except asyncio.TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S} s: {what}") from None


async def until(what, ask, within_s=PATIENCE_S):
    """Asks until the answer is true, and listens meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        answer = ask()
        if answer:
            return answer
        if deadline < loop.time():
            raise AssertionError(f"not within {within_s} s: {what}; at last {answer!r}")
        await asyncio.sleep(POLL_S)


class Streams(Ccxt, unittest.IsolatedAsyncioTestCase):
    """Listeners of both accounts beside their clients of REST; each listener has one socket."""

    async def asyncSetUp(self):
        # It would tell of every call of REST, which this thread waits for.
        asyncio.get_running_loop().set_debug(False)
        self.listeners = []
        self.watching = []
        self.raised = []

    async def asyncTearDown(self):
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)
        for listener in self.listeners:
            await listener.close()
        self.assertEqual(self.raised, [])
        for listener in self.listeners:
            self.assertEqual([one for one in listener.frames if set(one) != {"stream", "data"}], [])

    def listener(self, name):
        key, secret = keys(name)
        listener = at_this_exchange(Listener({"apiKey": key, "secret": secret}))
        listener.urls["api"] = {
            "public": REST_URL,
            "private": REST_URL,
            "ws": {"public": WS_URL, "private": WS_URL},
        }
        self.listeners.append(listener)
        return listener

    def start(self, waiting):
        """A task that ends with the test."""
        task = asyncio.ensure_future(waiting)
        self.watching.append(task)
        return task

    def keep(self, watch, *arguments):
        """Calls a method again and again, as its users do; what it answers is collected."""
        answers = []

        async def again():
            while True:
                answers.append(await watch(*arguments))

        self.start(again()).add_done_callback(self.ended)
        return answers

    def ended(self, task):
        """No watch ends before its test does."""
        if not task.cancelled():
            self.raised.append(task.exception())

    async def primed(self, what, ask, act):
        """Nothing says when a subscription holds: acts until something of it is heard."""
        for _ in range(PATIENCE_S):
            act()
            with contextlib.suppress(AssertionError):
                return await until(what, ask, 1)
        raise AssertionError(f"never heard: {what}")

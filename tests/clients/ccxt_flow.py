"""ccxt.pro watches all it can over one socket while orders flow; in the end nothing is missing."""

import asyncio
import contextlib
import os
import random
import time
import unittest
from decimal import Decimal

import ccxt

from ccxt_stream_world import Streams, until
from ccxt_world import SYMBOL

MARKET = "SOL_USDC"
MINUTE_MS = 60_000
ROUNDS = 120
AMOUNTS = ("0.1", "0.25", "0.5", "1.3")


class Flow(Streams):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        seed = int(os.environ.get("EXCHANGE_TEST_SEED", time.time_ns()))
        print(f"seed of the flow: EXCHANGE_TEST_SEED={seed}", flush=True)
        self.random = random.Random(seed)
        self.placed = {"ALICE": [], "BOB": []}

    async def trader(self, name):
        """Places limit and market orders around one price, and cancels some."""
        account, mine = self.listener(name), self.placed[name]
        for _ in range(ROUNDS):
            side = self.random.choice(("buy", "sell"))
            amount = self.random.choice(AMOUNTS)
            chance = self.random.random()
            if chance < 0.1:
                mine.append(await account.create_order(SYMBOL, "market", side, amount))
            elif chance < 0.3 and mine:
                # What this client makes of RESOURCE_NOT_FOUND: the order is done already.
                with contextlib.suppress(ccxt.ExchangeNotAvailable):
                    await account.cancel_order(self.random.choice(mine[-5:])["id"], SYMBOL)
            else:
                price = Decimal(self.random.randint(1980, 2020)) / 100
                mine.append(await account.create_order(SYMBOL, "limit", side, amount, price))

    async def test_everything_at_once_is_what_rest_says_in_the_end(self):
        listener = self.listener("ALICE")
        trades = self.keep(listener.watch_trades, SYMBOL)
        books = self.keep(listener.watch_order_book, SYMBOL)
        kept = [
            trades,
            books,
            self.keep(listener.watch_order_book_for_symbols, [SYMBOL, "ETH/USDC"]),
            self.keep(listener.watch_ticker, SYMBOL),
            self.keep(listener.watch_bids_asks, [SYMBOL]),
            self.keep(listener.watch_ohlcv, SYMBOL, "1m"),
            self.keep(listener.watch_orders),
            self.keep(listener.watch_orders, SYMBOL),
            self.keep(listener.watch_balance),
        ]
        positions = self.start(listener.watch_positions())
        await self.primed("everything", lambda: all(kept), self.act)
        await asyncio.gather(self.trader("ALICE"), self.trader("BOB"))
        self.assertFalse(positions.done())
        await self.book_is_that_of_rest(listener)
        await self.trades_are_those_of_rest(trades)
        await self.best_prices_are_those_of_rest(listener)
        await self.orders_are_those_of_rest(listener)
        await self.balances_are_those_of_rest(listener)
        await self.ticker_is_that_of_rest(listener)
        await self.candle_is_that_of_rest(listener)

    def act(self):
        self.trade("20.01", "0.1")
        order = {"symbol": SYMBOL, "type": "limit", "side": "sell", "amount": 0.1}
        self.alice.create_orders([{**order, "price": 25 + n / 100} for n in range(12)])
        self.alice.cancel_all_orders(SYMBOL)

    async def book_is_that_of_rest(self, listener):
        """The book was begun in the midst of all that, and each level of it is right."""
        rest = self.alice.fetch_order_book(SYMBOL, 1000)
        book = listener.orderbooks[SYMBOL]
        await until("the last update", lambda: book["nonce"] == rest["nonce"])
        for side in ("asks", "bids"):
            self.assertEqual([list(level) for level in book[side]], rest[side], side)
        self.assertTrue(rest["asks"] or rest["bids"])
        frames = listener.heard(f"depth.{MARKET}")
        for before, after in zip(frames, frames[1:]):
            self.assertEqual(after["U"], before["u"] + 1)
            self.assertLessEqual(after["U"], after["u"])
        self.assertLess(ROUNDS, len(frames))
        types = {
            "e": str, "E": int, "T": int, "s": str, "a": list, "b": list, "U": int, "u": int,
            "k": int,
        }
        self.assertEqual({name: type(frames[-1][name]) for name in frames[-1]}, types)

    async def trades_are_those_of_rest(self, kept):
        ids = lambda: [int(trade["id"]) for trades in kept for trade in trades]
        newest = lambda: int(self.alice.fetch_trades(SYMBOL, None, 1)[0]["id"])
        await until("the last trade", lambda: newest() == ids()[-1])
        told = ids()
        self.assertEqual(told, list(range(told[0], told[-1] + 1)))
        rest = {one["id"]: one for one in self.alice.fetch_trades(SYMBOL, None, 1000)}
        for trade in (trade for trades in kept for trade in trades):
            for name in ("price", "amount", "side"):
                self.assertEqual(trade[name], rest[trade["id"]][name], name)

    async def best_prices_are_those_of_rest(self, listener):
        rest = self.alice.fetch_order_book(SYMBOL, 5)
        best = lambda side: rest[side][0] if rest[side] else [None, None]

        def same():
            one = listener.bidsasks[SYMBOL]
            asks, bids = [one["ask"], one["askVolume"]], [one["bid"], one["bidVolume"]]
            return (asks, bids) == (best("asks"), best("bids"))

        await until("the best prices of REST", same)

    async def orders_are_those_of_rest(self, listener):
        stream = "account.orderUpdate"
        placed = self.placed["ALICE"]
        rest = {one["id"]: self.alice.fetch_order(one["id"], SYMBOL)["info"] for one in placed}

        def ends():
            return {data["i"]: data for data in listener.heard(stream)}

        def same():
            told = ends()
            return all(
                order in told
                and told[order]["X"] == asked["status"]
                and Decimal(told[order]["z"]) == Decimal(asked["executedQuantity"])
                for order, asked in rest.items()
            )

        await until("the last state of each order", same)
        mine = {data["i"] for data in listener.heard(stream)}
        self.assertTrue(mine.isdisjoint({one["id"] for one in self.placed["BOB"]}))
        for order in mine:
            told = [data for data in listener.heard(stream) if data["i"] == order]
            self.assertEqual(told[0]["e"], "orderAccepted")
            done = [Decimal(data["z"]) for data in told]
            self.assertEqual(done, sorted(done))
            final = {"Filled", "Cancelled", "Expired"}
            self.assertTrue(final.isdisjoint({data["X"] for data in told[:-1]}))
        # Both names tell the same, each in the order in which it happened.
        pick = lambda data: (data["i"], data["e"], data["z"], data["t"])
        other = [pick(data) for data in listener.heard(f"{stream}.{MARKET}")]
        both = [pick(data) for data in listener.heard(stream)][-len(other):]
        self.assertEqual(other[-len(both):], both)

    async def balances_are_those_of_rest(self, listener):
        wallet = self.wallet(self.alice)
        newest = {}

        def same():
            newest.update({one["a"]: one for one in listener.heard("account.balanceUpdate")})
            exact = lambda one: (Decimal(one["A"]), Decimal(one["L"]))
            return all(exact(newest[asset]) == wallet[asset] for asset in ("SOL", "USDC"))

        await until("the balances of REST", same)
        for asset in ("SOL", "USDC"):
            told = listener.balance[asset]
            self.assertEqual((told["free"], told["used"]), tuple(map(float, wallet[asset])))

    async def ticker_is_that_of_rest(self, listener):
        newest = lambda: listener.tickers[SYMBOL]
        asked = lambda: self.alice.fetch_ticker(SYMBOL)
        counted = lambda rest: rest["info"]["trades"] == str(newest()["info"]["n"]) and rest
        rest = await until("the ticker of REST", lambda: counted(asked()))
        for name in ("open", "high", "low", "last", "baseVolume", "quoteVolume"):
            self.assertEqual(newest()[name], rest[name], name)

    async def candle_is_that_of_rest(self, listener):
        """This client takes a candle's end for its time, REST its start."""
        newest = lambda: listener.ohlcvs[SYMBOL]["1m"][-1]

        def same():
            rest = self.alice.fetch_ohlcv(SYMBOL, "1m")
            return newest() in [[start + MINUTE_MS, *numbers] for start, *numbers in rest]

        await until("the candle of REST", same)


if __name__ == "__main__":
    unittest.main()

"""ccxt.pro as it is published, watching all it can watch while orders flow.

A subscription is never acknowledged, so whoever waits for something has it done again and again
until it was heard. All of a client's streams share one socket; any error frame would end every call
that waits on it, so each call that returns says that there was none.
"""

import asyncio
import unittest
from decimal import Decimal

import ccxt.pro

from ccxt_world import SYMBOL
from world import PATIENCE_S, POLL_S, REST_URL, WS_URL, keys, now_ms

OTHER = "ETH/USDC"
SYMBOLS = (SYMBOL, OTHER)
MINUTE_MS = 60_000


def client(name):
    key, secret = keys(name)
    exchange = ccxt.pro.backpack({"apiKey": key, "secret": secret})
    exchange.urls["api"] = {
        "public": REST_URL,
        "private": REST_URL,
        "ws": {"public": WS_URL, "private": WS_URL},
    }
    return exchange


class Streams(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.alice, self.bob = client("ALICE"), client("BOB")
        for account in (self.alice, self.bob):
            await account.load_markets()
        await self.clear()

    async def asyncTearDown(self):
        await self.clear()
        for account in (self.alice, self.bob):
            await account.close()

    async def clear(self):
        for account in (self.alice, self.bob):
            for symbol in SYMBOLS:
                await account.cancel_all_orders(symbol)

    async def order(self, account, side, price, amount, symbol=SYMBOL):
        return await account.create_order(symbol, "limit", side, amount, price)

    async def trade(self, price="20.01", amount="1", symbol=SYMBOL):
        """alice sells to bob."""
        resting = await self.order(self.alice, "sell", price, amount, symbol)
        taken = await self.order(self.bob, "buy", price, amount, symbol)
        self.assertEqual(taken["status"], "closed")
        return resting, taken

    async def heard(self, watch, stir, good=lambda heard: True):
        """What a watch call gives that is good, while `stir` is done over and over."""
        until = now_ms() + PATIENCE_S * 1000
        while True:
            watching = asyncio.ensure_future(watch())
            while not watching.done():
                self.assertLess(now_ms(), until, "never heard")
                await stir()
                await asyncio.wait([watching], timeout=POLL_S)
            heard = watching.result()
            if good(heard):
                return heard
            self.assertLess(now_ms(), until, f"never good: {heard}")

    async def eventually(self, what, ask):
        until = now_ms() + PATIENCE_S * 1000
        while not ask():
            self.assertLess(now_ms(), until, what)
            await asyncio.sleep(POLL_S)


class Public(Streams):
    async def test_tickers_are_those_of_rest(self):
        await self.trade("20.01")
        await self.trade("20.17", "1", OTHER)
        nothing = lambda: asyncio.sleep(0)
        last = lambda price: lambda heard: heard["last"] == price
        told = await self.heard(lambda: self.alice.watch_ticker(SYMBOL), nothing, last(20.01))
        asked = await self.alice.fetch_ticker(SYMBOL)
        for name in ("symbol", "open", "high", "low", "last", "baseVolume", "quoteVolume"):
            self.assertEqual(told[name], asked[name], name)
        self.assertLess(abs(told["timestamp"] - now_ms()), 10_000)
        # Once a second, also without a change.
        again = await self.alice.watch_ticker(SYMBOL)
        self.assertLess(told["timestamp"], again["timestamp"])
        both = lambda heard: set(SYMBOLS) <= set(heard)
        tickers = await self.heard(lambda: self.alice.watch_tickers(SYMBOLS), nothing, both)
        self.assertEqual(tickers[OTHER]["last"], 20.17)
        await self.alice.un_watch_ticker(SYMBOL)
        self.assertNotIn(SYMBOL, self.alice.tickers)
        self.assertEqual((await self.alice.watch_tickers([OTHER]))[OTHER]["last"], 20.17)
        await self.alice.un_watch_tickers([OTHER])

    async def test_bids_and_asks_of_one_side_and_of_both(self):
        async def bid():
            await self.order(self.bob, "buy", "19.50", "1")

        watch = lambda: self.alice.watch_bids_asks([SYMBOL])
        heard = (await self.heard(watch, bid))[SYMBOL]
        self.assertEqual((heard["bid"], heard["ask"], heard["askVolume"]), (19.5, None, None))

        async def ask():
            await self.order(self.alice, "sell", "19.70", "2")

        full = lambda heard: heard[SYMBOL]["ask"] is not None
        heard = (await self.heard(watch, ask, full))[SYMBOL]
        self.assertEqual((heard["bid"], heard["ask"]), (19.5, 19.7))
        self.assertEqual(heard["askVolume"] % 2, 0)
        await self.alice.un_watch_bids_asks([SYMBOL])

    async def test_trades_without_gap_and_as_rest_has_them(self):
        heard = {}

        async def watch():
            while True:
                for trade in await self.alice.watch_trades(SYMBOL):
                    heard[int(trade["id"])] = trade

        watching = asyncio.ensure_future(watch())
        await self.heard(lambda: self.alice.watch_trades(SYMBOL), self.trade)
        for step in range(20):
            price = f"20.{10 + step}"
            if step % 2:
                await self.trade(price)
            else:
                await self.order(self.bob, "buy", price, "1")
                taken = await self.order(self.alice, "sell", price, "1")
        last = int(taken["info"]["fills"][0]["tradeId"]) + 1
        await self.eventually("the last trade", lambda: last in heard)
        self.assertFalse(watching.done(), watching)
        watching.cancel()
        ids = sorted(heard)
        self.assertEqual(ids, list(range(ids[0], ids[-1] + 1)))
        one = heard[last - 1]
        self.assertEqual((one["side"], one["price"], one["amount"]), ("sell", 20.28, 1.0))
        self.assertEqual((one["order"], one["takerOrMaker"]), (taken["id"], "taker"))

        def same(asked):
            names = ("id", "price", "amount", "side")
            pick = lambda trade: [trade[name] for name in names]
            return [pick(trade) for trade in asked] == [pick(heard[id]) for id in ids]

        for _ in range(int(PATIENCE_S / POLL_S)):
            asked = await self.alice.fetch_trades(SYMBOL, limit=len(ids))
            if same(asked):
                break
            await asyncio.sleep(POLL_S)
        self.assertTrue(same(asked), asked)
        both = lambda: self.alice.watch_trades_for_symbols(SYMBOLS)
        other = lambda trades: trades[0]["symbol"] == OTHER
        await self.heard(both, lambda: self.trade("20.01", "1", OTHER), other)
        await self.alice.un_watch_trades(SYMBOL)
        await self.alice.un_watch_trades_for_symbols([OTHER])
        # What was ended can begin again.
        await self.heard(lambda: self.alice.watch_trades(SYMBOL), self.trade)

    async def stir(self, step, symbol=SYMBOL):
        """Both sides move; some of it trades, some is taken back."""
        await self.order(self.bob, "buy", f"19.{50 + step % 13}", "1.5", symbol)
        await self.order(self.alice, "sell", f"19.{57 + step % 11}", "1", symbol)
        if step % 10 == 9:
            await self.bob.cancel_all_orders(symbol)

    async def test_a_kept_order_book_is_the_book(self):
        steps = iter(range(10_000))
        watches = (
            (SYMBOL, lambda: self.alice.watch_order_book(SYMBOL)),
            (OTHER, lambda: self.alice.watch_order_book_for_symbols([OTHER])),
        )
        for symbol, watch in watches:
            stir = lambda: self.stir(next(steps), symbol)
            # The first comes with the snapshot, at the eleventh change.
            for _ in range(40):
                book = await self.heard(watch, stir)
                self.assertEqual(book["symbol"], symbol)
            depth = {"symbol": symbol.replace("/", "_"), "limit": 1000}
            wanted = await self.alice.publicGetApiV1Depth(depth)
            nonce = int(wanted["lastUpdateId"])
            kept = self.alice.orderbooks[symbol]
            await self.eventually("the last change", lambda: nonce <= kept["nonce"])
            self.assertEqual(kept["nonce"], nonce)
            levels = lambda rows: [[float(part) for part in row] for row in rows]
            # Ours are told from the lowest price up.
            self.assertEqual(levels(kept["asks"]), levels(wanted["asks"]))
            self.assertEqual(levels(kept["bids"]), levels(wanted["bids"])[::-1])
            self.assertTrue(kept["asks"] or kept["bids"])
        await self.alice.un_watch_order_book(SYMBOL)
        await self.alice.un_watch_order_book_for_symbols([OTHER])
        self.assertNotIn(SYMBOL, self.alice.orderbooks)

    async def test_candles_end_with_the_last_price(self):
        closes = lambda candles: candles[-1][4] == 20.33
        watch = lambda: self.alice.watch_ohlcv(SYMBOL, "1m")
        candles = await self.heard(watch, lambda: self.trade("20.33"), closes)
        end, _, high, low, close, volume = candles[-1]
        # ccxt names a candle by its end.
        self.assertEqual(end % MINUTE_MS, 0)
        self.assertLess(abs(end - now_ms()), 2 * MINUTE_MS)
        self.assertTrue(low <= close <= high and 0 < volume)
        pairs = [[SYMBOL, "1h"], [OTHER, "1m"]]
        watch = lambda: self.alice.watch_ohlcv_for_symbols(pairs)
        trade = lambda: self.trade("20.34", "1", OTHER)
        await self.heard(watch, trade, lambda heard: OTHER in heard and "1m" in heard[OTHER])
        await self.alice.un_watch_ohlcv(SYMBOL, "1m")
        await self.alice.un_watch_ohlcv_for_symbols(pairs)


class Private(Streams):
    async def test_orders_are_told_from_beginning_to_end(self):
        names = ("id", "status", "side", "type", "price", "amount", "symbol", "timeInForce")
        pick = lambda order: [order[name] for name in names]
        for watch in (self.alice.watch_orders, lambda: self.alice.watch_orders(SYMBOL)):
            placed = []

            async def place():
                placed.append(await self.order(self.alice, "sell", "25.01", "2"))

            ours = lambda heard: any(order["id"] == placed[0]["id"] for order in heard)
            first = await self.heard(watch, place)
            self.assertTrue(all(order["status"] in ("open", "canceled") for order in first))
            order = placed[-1]
            known = lambda: self.order_of(order)
            await self.eventually("the order", lambda: known() is not None)
            self.assertEqual(pick(known()), pick(order))
            await self.alice.cancel_all_orders(SYMBOL)
            await self.eventually("its end", lambda: known()["status"] == "canceled")
            self.assertTrue(ours(self.alice.orders))
        resting = await self.order(self.alice, "sell", "20.01", "3")
        await self.order(self.bob, "buy", "20.01", "1")
        known = lambda: self.order_of(resting)
        filled = lambda total: lambda: known() and known()["info"]["z"] == total
        await self.eventually("the first fill", filled("1.00"))
        self.assertEqual((known()["status"], known()["cost"]), ("open", 20.01))
        await self.order(self.bob, "buy", "20.01", "2")
        await self.eventually("the last fill", filled("3.00"))
        order = known()
        self.assertEqual((order["status"], order["cost"]), ("closed", 60.03))
        self.assertEqual(order["fee"]["currency"], "USDC")
        # Nobody else's orders are told.
        mine = {order["id"] for order in await self.alice_orders()}
        self.assertLessEqual({order["id"] for order in self.alice.orders}, mine)
        await self.alice.un_watch_orders(SYMBOL)
        await self.heard(self.alice.watch_orders, lambda: self.order(self.alice, "sell", "30", "1"))

    async def alice_orders(self):
        """Every order of hers that has ended, and what is open."""
        told = len(self.alice.orders)
        for _ in range(int(PATIENCE_S / POLL_S)):
            ended = await self.alice.privateGetWapiV1HistoryOrders({"limit": 1000})
            if told <= len(ended):
                break
            await asyncio.sleep(POLL_S)
        return ended + await self.alice.fetch_open_orders()

    def order_of(self, order):
        known = [one for one in self.alice.orders or [] if one["id"] == order["id"]]
        return known[-1] if known else None

    async def test_balances_end_as_rest_has_them(self):
        trade = lambda: self.trade("20.01", "0.5")
        both = lambda heard: "SOL" in heard and "USDC" in heard
        await self.heard(self.alice.watch_balance, trade, both)
        await self.order(self.alice, "sell", "25.01", "2")
        asked = await self.alice.privateGetApiV1Capital()
        told = lambda asset: self.alice.options["wsBalanceAssets"].get(asset)
        for asset in ("SOL", "USDC"):
            await self.eventually(f"{asset}", lambda: told(asset) == asked[asset])
        balance = await self.alice.fetch_balance()
        for asset in ("SOL", "USDC"):
            for name in ("free", "used", "total"):
                self.assertEqual(self.alice.balance[asset][name], balance[asset][name])
        self.assertEqual(Decimal(asked["SOL"]["locked"]), 2)
        await self.alice.un_watch_balance()


class Together(Streams):
    async def test_everything_at_once_on_one_socket(self):
        """Also what nothing ever comes of, which disturbs nobody."""
        silent = [
            asyncio.ensure_future(self.alice.watch_positions()),
            asyncio.ensure_future(self.alice.watch_positions([SYMBOL])),
        ]
        calls = {
            "ticker": lambda: self.alice.watch_ticker(SYMBOL),
            "bids and asks": lambda: self.alice.watch_bids_asks([SYMBOL]),
            "trades": lambda: self.alice.watch_trades(SYMBOL),
            "book": lambda: self.alice.watch_order_book(SYMBOL),
            "candles": lambda: self.alice.watch_ohlcv(SYMBOL, "1m"),
            "orders": self.alice.watch_orders,
            "orders of one market": lambda: self.alice.watch_orders(SYMBOL),
            "balances": self.alice.watch_balance,
        }
        counts = dict.fromkeys(calls, 0)

        async def watch(name):
            while True:
                await calls[name]()
                counts[name] += 1

        watching = [asyncio.ensure_future(watch(name)) for name in calls]
        until = now_ms() + PATIENCE_S * 1000
        while min(counts.values()) < 2:
            self.assertLess(now_ms(), until, counts)
            await self.trade()
            for task in watching + silent:
                self.assertFalse(task.done(), task)
        self.assertEqual(len(self.alice.clients), 1, "one address, one socket")
        for task in watching + silent:
            task.cancel()


if __name__ == "__main__":
    unittest.main()

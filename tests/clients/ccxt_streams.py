"""Every stream that ccxt.pro watches, beside what REST says of the same."""

import unittest
from decimal import Decimal

from ccxt.base.errors import UnsubscribeError

from ccxt_stream_world import Streams, soon, until
from ccxt_world import SYMBOL
from world import eventually, now_ms

ETHER = "ETH/USDC"
MINUTE_MS = 60_000


class Prices(Streams):
    def of_rest(self, symbol):
        return self.alice.fetch_ticker(symbol)

    def agrees(self, ticker):
        """Whether a ticker of the stream is the one of REST; numbers alike, the rest typed."""
        rest = self.of_rest(ticker["symbol"])
        told, asked = ticker["info"], rest["info"]
        self.assertEqual(set(told), {"e", "E", "s", "o", "c", "h", "l", "v", "V", "n"})
        self.assertEqual((told["e"], type(told["E"]), type(told["n"])), ("ticker", int, int))
        if told["n"] != int(asked["trades"]):
            return False
        for short, long in (
            ("s", "symbol"), ("o", "firstPrice"), ("c", "lastPrice"), ("h", "high"),
            ("l", "low"), ("v", "volume"), ("V", "quoteVolume"),
        ):
            self.assertEqual(told[short], asked[long], short)
        for name in ("open", "high", "low", "last", "close", "baseVolume", "quoteVolume"):
            self.assertEqual(ticker[name], rest[name], name)
        self.assertLess(abs(ticker["timestamp"] - now_ms()), 10_000)
        return True

    async def test_tickers_come_every_second_and_are_those_of_rest(self):
        self.trade("20.01", "1")
        listener = self.listener("ALICE")
        kept = self.keep(listener.watch_ticker, SYMBOL)
        await until("tickers without a trade", lambda: 3 <= len(kept))
        self.assertTrue(self.agrees(kept[-1]))
        self.trade("20.03", "0.7")
        await until("the trade in the ticker", lambda: self.agrees(kept[-1]))
        self.assertEqual(kept[-1]["last"], 20.03)

    async def test_tickers_of_two_markets_and_of_all(self):
        self.trade("20.01", "1")
        some, every = self.listener("ALICE"), self.listener("BOB")
        kept = self.keep(some.watch_tickers, [SYMBOL, ETHER])
        # Without a list this client refuses, although it says it would take all markets.
        all_kept = self.keep(every.watch_tickers, every.symbols)
        await until("both tickers", lambda: kept and set(kept[-1]) == {SYMBOL, ETHER})
        await until("this trade's ticker", lambda: self.agrees(kept[-1][SYMBOL]))
        listed = set(every.symbols)
        await until("a ticker of each market", lambda: all_kept and listed == set(all_kept[-1]))

    async def test_best_prices_are_told_when_they_change_and_only_then(self):
        listener = self.listener("ALICE")
        kept = self.keep(listener.watch_bids_asks, [SYMBOL])

        def best(ask, bid):
            def told():
                one = kept[-1][SYMBOL] if kept else None
                seen = one and (one["ask"], one["askVolume"], one["bid"], one["bidVolume"])
                return one if seen == (*ask, *bid) else None

            return told

        def again():
            self.alice.cancel_all_orders(SYMBOL)
            self.sell("25.01", "1")

        one_sided = await self.primed("a best price", best((25.01, 1), (None, None)), again)
        self.assertEqual((one_sided["info"]["b"], one_sided["info"]["B"]), (None, None))
        self.bob.create_order(SYMBOL, "limit", "buy", "2", "18.5")
        both = await until("both sides", best((25.01, 1), (18.5, 2)))
        self.assertEqual(both["symbol"], SYMBOL)
        self.assertLess(abs(both["timestamp"] - now_ms()), 10_000)
        told = both["info"]
        self.assertEqual(
            {name: type(told[name]) for name in told},
            {
                "e": str, "E": int, "T": int, "s": str, "u": int,
                "a": str, "A": str, "b": str, "B": str,
            },
        )
        depth = self.alice.publicGetApiV1Depth({"symbol": "SOL_USDC"})
        self.assertEqual([told["a"], told["A"]], depth["asks"][0])
        self.assertEqual([told["b"], told["B"]], depth["bids"][-1])
        self.assertEqual(told["u"], int(depth["lastUpdateId"]))

        self.sell("25.02", "1")  # behind the best: an update of the book, but none of this stream
        self.sell("25.01", "0.5")
        more = await until("more at the best price", best((25.01, 1.5), (18.5, 2)))
        self.assertEqual(more["info"]["u"], told["u"] + 2)
        heard = [data["u"] for data in listener.heard("bookTicker.SOL_USDC")]
        self.assertEqual(heard[-2:], [told["u"], told["u"] + 2])


class Trades(Streams):
    async def test_each_trade_is_told_once_in_order_with_the_order_that_took(self):
        listener = self.listener("ALICE")
        kept = self.keep(listener.watch_trades, SYMBOL)
        await self.primed("a trade", lambda: kept, lambda: self.trade("20.01", "0.1"))
        first = kept[0][0]
        takers = []
        for price in ("20.02", "20.03", "20.04"):
            self.sell(price, "0.5")
        takers += [self.buy("20.04", "1.5")] * 3
        self.buy("19.9", "0.3")
        taker = self.alice.create_order(SYMBOL, "limit", "sell", "0.3", "19.9")
        takers.append(taker)
        last = await until("the last trade", lambda: self.by(kept, taker))
        told = [trade for trades in kept for trade in trades]
        ids = [int(trade["id"]) for trade in told]
        self.assertEqual(ids, list(range(int(first["id"]), int(last["id"]) + 1)))
        self.assertEqual([trade["order"] for trade in told[-4:]], [one["id"] for one in takers])
        self.assertEqual([trade["side"] for trade in told[-4:]], ["buy"] * 3 + ["sell"])
        self.assertEqual([trade["price"] for trade in told[-4:]], [20.02, 20.03, 20.04, 19.9])
        rest = self.trades_of_rest(last["id"])
        for trade in told:
            for name in ("symbol", "price", "amount", "cost", "side"):
                self.assertEqual(trade[name], rest[trade["id"]][name], name)
            self.assertEqual(trade["takerOrMaker"], "taker")
            self.assertLess(abs(trade["timestamp"] - now_ms()), 60_000)
            info = trade["info"]
            self.assertEqual(
                {name: type(info[name]) for name in info},
                {
                    "e": str, "E": int, "T": int, "s": str, "p": str, "q": str,
                    "b": str, "a": str, "t": int, "m": bool,
                },
            )
            self.assertEqual(info["T"] // 1000, rest[trade["id"]]["timestamp"])

    def trades_of_rest(self, last):
        def all_of_them():
            trades = {one["id"]: one for one in self.alice.fetch_trades(SYMBOL, None, 100)}
            return trades if last in trades else None

        return eventually("the last trade of REST", all_of_them)

    @staticmethod
    def by(kept, taker):
        return next((one for trades in kept for one in trades if one["order"] == taker["id"]), None)

    async def test_trades_of_two_markets_over_one_call(self):
        listener = self.listener("BOB")
        kept = self.keep(listener.watch_trades_for_symbols, [SYMBOL, ETHER])

        def trade_both():
            self.trade("20.01", "0.1")
            self.alice.create_order(ETHER, "limit", "sell", "0.01", "2000")
            self.bob.create_order(ETHER, "limit", "buy", "0.01", "2000")

        def heard():
            return {SYMBOL, ETHER} <= {trade["symbol"] for trades in kept for trade in trades}

        await self.primed("trades of both", heard, trade_both)


class Candles(Streams):
    def agrees(self, listener, symbol, interval):
        """Whether the newest candle heard is the one REST has for the same time."""
        length = self.alice.parse_timeframe(interval) * 1000
        market = self.alice.market_id(symbol)
        heard = listener.heard(f"kline.{interval}.{market}")
        candle = listener.ohlcvs[symbol][interval][-1]
        rest = {one[0]: one[1:] for one in self.alice.fetch_ohlcv(symbol, interval)}
        info = heard[-1]
        self.assertEqual(
            {name: type(info[name]) for name in info},
            {
                "e": str, "E": int, "s": str, "t": str, "T": str, "X": bool, "n": int,
                "o": str, "c": str, "h": str, "l": str, "v": str,
            },
        )
        # This client takes a candle's end for its time.
        self.assertEqual(candle[0], self.alice.parse8601(info["T"]))
        self.assertEqual(candle[0], self.alice.parse8601(info["t"]) + length)
        return rest.get(candle[0] - length) == candle[1:]

    async def test_a_candle_follows_trades_and_is_that_of_rest(self):
        one, many = self.listener("ALICE"), self.listener("BOB")
        kept = self.keep(one.watch_ohlcv, SYMBOL, "1m")
        wanted = [[SYMBOL, "5m"], [ETHER, "1h"]]
        kept_many = self.keep(many.watch_ohlcv_for_symbols, wanted)

        def trade_both():
            self.trade("20.01", "0.1")
            self.alice.create_order(ETHER, "limit", "sell", "0.01", "2000")
            self.bob.create_order(ETHER, "limit", "buy", "0.01", "2000")

        def heard():
            told = {symbol for answer in kept_many for symbol in answer}
            return kept and told == {SYMBOL, ETHER}

        await self.primed("candles", heard, trade_both)
        self.trade("20.05", "0.3")
        self.trade("20.02", "0.2")
        await until("the candle of REST", lambda: self.agrees(one, SYMBOL, "1m"))
        await until("the candle of REST", lambda: self.agrees(many, SYMBOL, "5m"))
        await until("the candle of REST", lambda: self.agrees(many, ETHER, "1h"))
        end, _, high, low, close, volume = one.ohlcvs[SYMBOL]["1m"][-1]
        self.assertLess(abs(end - now_ms()), 3 * MINUTE_MS)
        self.assertTrue(low <= close <= high and 0 < volume)


class Account(Streams):
    def typed(self, update):
        """An order update has what always belongs to it, in the right form."""
        types = {
            "e": str, "E": int, "T": int, "s": str, "i": str, "S": str, "o": str, "f": str,
            "q": str, "X": str, "z": str, "Z": str, "V": str, "O": str, "r": bool,
        }
        for name, kind in types.items():
            self.assertIs(type(update[name]), kind, (name, update))
        self.assertLessEqual(update["T"], update["E"])
        self.assertEqual((update["O"], update["r"]), ("USER", False))

    def events(self, listener, stream, order):
        """What an order went through, as told: event, state, totals."""
        told = [data for data in listener.heard(stream) if data["i"] == order["id"]]
        for update in told:
            self.typed(update)
        return [(one["e"], one["X"], Decimal(one["z"]), Decimal(one["Z"])) for one in told]

    async def test_orders_of_all_markets_and_of_one_through_their_lives(self):
        every, one = self.listener("ALICE"), self.listener("ALICE")
        kept = self.keep(every.watch_orders)
        kept_one = self.keep(one.watch_orders, SYMBOL)
        await self.primed("an order", lambda: kept and kept_one, lambda: self.sell("25.01", "1"))
        self.alice.cancel_all_orders(SYMBOL)

        resting = self.sell("20.01", "2", clientOrderId="77")
        part = self.buy("20.01", "0.5")
        other = self.alice.create_order(ETHER, "limit", "sell", "0.1", "5000")
        self.buy("20.01", "1.5")
        at_once = {"timeInForce": "IOC"}
        dropped = self.alice.create_order(SYMBOL, "limit", "sell", "1", "25", at_once)
        self.alice.cancel_order(other["id"], ETHER)
        all_of, one_of = "account.orderUpdate", "account.orderUpdate.SOL_USDC"
        life = [
            ("orderAccepted", "New", Decimal(0), Decimal(0)),
            ("orderFill", "PartiallyFilled", Decimal("0.5"), Decimal("10.005")),
            ("orderFill", "Filled", Decimal("2"), Decimal("40.02")),
        ]
        for listener, stream in ((every, all_of), (one, one_of)):
            heard = lambda: self.events(listener, stream, resting) == life
            await until(f"an order's life in {stream}", heard)
            ioc = lambda: [told[:2] for told in self.events(listener, stream, dropped)]
            wanted = [("orderAccepted", "New"), ("orderExpired", "Expired")]
            await until("an IOC order that expires", lambda: ioc() == wanted)
        heard = lambda: [told[:2] for told in self.events(every, all_of, other)]
        wanted = [("orderAccepted", "New"), ("orderCancelled", "Cancelled")]
        await until("an order that is cancelled", lambda: heard() == wanted)
        self.assertEqual(one.heard(all_of), [])
        self.assertEqual({data["s"] for data in one.heard(one_of)}, {"SOL_USDC"})

        seen = {order["id"]: order for orders in kept for order in orders}
        self.as_rest(seen[resting["id"]])
        self.assertEqual(seen[resting["id"]]["clientOrderId"], "77")
        self.assertEqual(seen[other["id"]]["status"], "canceled")
        self.assertEqual(seen[dropped["id"]]["info"]["R"], "IMMEDIATE_OR_CANCEL")
        self.fills_are_those_of_rest(every, resting, part)
        self.assertEqual([data for data in one.heard(one_of) if data["i"] == part["id"]], [])

    def as_rest(self, order):
        rest = self.alice.fetch_order(order["id"], order["symbol"])
        for name in ("symbol", "type", "side", "timeInForce", "price", "amount", "status", "cost"):
            self.assertEqual(order[name], rest[name], name)
        told, asked = order["info"], rest["info"]
        self.assertEqual(Decimal(told["z"]), Decimal(asked["executedQuantity"]))
        self.assertEqual(Decimal(told["Z"]), Decimal(asked["executedQuoteQuantity"]))
        self.assertEqual((told["X"], told["V"]), (asked["status"], asked["selfTradePrevention"]))

    def fills_are_those_of_rest(self, listener, order, first_taker):
        told = [
            (str(one["t"]), one["l"], one["L"], one["n"], one["N"], one["m"])
            for one in listener.heard("account.orderUpdate")
            if one["i"] == order["id"] and one["e"] == "orderFill"
        ]
        (first, _) = told
        self.assertEqual(first[5], True)
        self.assertNotEqual(first_taker["id"], order["id"])
        rest = lambda: self.alice.fetch_my_trades(SYMBOL, None, 100, {"orderId": order["id"]})
        fills = eventually("both fills", lambda: len(rest()) == 2 and rest())
        asked = {
            (one["id"], one["info"]["quantity"], one["info"]["price"], one["info"]["fee"],
             one["info"]["feeSymbol"], one["takerOrMaker"] == "maker")
            for one in fills
        }
        self.assertEqual(set(told), asked)

    async def test_a_trigger_order_is_told_when_it_is_placed_fires_and_is_cancelled(self):
        listener = self.listener("BOB")
        kept = self.keep(listener.watch_orders, SYMBOL)

        def act():
            order = self.bob.create_order(SYMBOL, "limit", "buy", "1", "15")
            self.bob.cancel_order(order["id"], SYMBOL)

        await self.primed("an order", lambda: kept, act)
        self.trade("20", "0.1")
        waiting = [
            self.bob.create_order(SYMBOL, "limit", "buy", "0.5", "21", {"triggerPrice": "20.5"}),
            self.bob.create_order(SYMBOL, "limit", "buy", "0.5", "22", {"triggerPrice": "21.5"}),
        ]
        self.bob.cancel_order(waiting[1]["id"], SYMBOL)
        self.trade("20.5", "0.1")
        stream = "account.orderUpdate.SOL_USDC"
        heard = lambda order: [told[:2] for told in self.events(listener, stream, order)]
        placed = ("triggerPlaced", "TriggerPending")
        fired = [placed, ("orderAccepted", "New")]
        await until("a trigger that fires", lambda: heard(waiting[0]) == fired)
        cancelled = [placed, ("orderCancelled", "Cancelled")]
        await until("a trigger that is cancelled", lambda: heard(waiting[1]) == cancelled)
        seen = {order["id"]: order for orders in kept for order in orders}
        self.assertEqual(seen[waiting[1]["id"]]["triggerPrice"], 21.5)

    async def test_balances_are_absolute_and_those_of_rest(self):
        listener = self.listener("ALICE")
        kept = self.keep(listener.watch_balance)

        def act():
            order = self.sell("25.01", "1")
            self.alice.cancel_order(order["id"], SYMBOL)

        await self.primed("a balance", lambda: kept, act)
        self.trade("20.01", "1.5")
        self.sell("25.01", "2")
        wallet = self.wallet(self.alice)

        def same():
            told = kept[-1]
            return all(
                asset in told
                and (told[asset]["free"], told[asset]["used"]) == tuple(map(float, wallet[asset]))
                for asset in ("SOL", "USDC")
            )

        await until("the balances of REST", same)
        self.assertLess(abs(kept[-1]["timestamp"] - now_ms()), 60_000)
        for data in listener.heard("account.balanceUpdate"):
            self.assertEqual(
                {name: type(data[name]) for name in data},
                {"e": str, "E": int, "T": int, "a": str, "A": str, "L": str, "S": str},
            )
            self.assertEqual(data["S"], "0")
        newest = {data["a"]: data for data in listener.heard("account.balanceUpdate")}
        for asset in ("SOL", "USDC"):
            exact = (Decimal(newest[asset]["A"]), Decimal(newest[asset]["L"]))
            self.assertEqual(exact, wallet[asset])

    async def test_positions_never_come_and_disturb_nobody(self):
        listener = self.listener("ALICE")
        waiting = [
            self.start(listener.watch_positions()),
            self.start(listener.watch_positions([SYMBOL])),
        ]
        kept = self.keep(listener.watch_orders)
        await self.primed("an order", lambda: kept, lambda: self.sell("25.01", "1"))
        self.assertEqual([task.done() for task in waiting], [False, False])


class Unwatching(Streams):
    """An end of watching is not answered. What the socket hears afterwards shows it, beside one
    that goes on."""

    CALLS = {
        "trade.SOL_USDC": ("trades", SYMBOL),
        "depth.SOL_USDC": ("order_book", SYMBOL),
        "kline.1m.SOL_USDC": ("ohlcv", SYMBOL, "1m"),
        "account.orderUpdate.SOL_USDC": ("orders", SYMBOL),
        "account.balanceUpdate": ("balance",),
    }
    CALLS_FOR_SYMBOLS = {
        "trade.SOL_USDC": ("trades_for_symbols", [SYMBOL]),
        "depth.SOL_USDC": ("order_book_for_symbols", [SYMBOL]),
        "kline.1m.SOL_USDC": ("ohlcv_for_symbols", [[SYMBOL, "1m"]]),
    }

    def act(self):
        """Something for every stream to tell of, and enough for a book to begin."""
        self.trade("20.01", "0.1")
        order = {"symbol": SYMBOL, "type": "limit", "side": "sell", "amount": 0.1}
        self.alice.create_orders([{**order, "price": 25 + n / 100} for n in range(12)])
        self.alice.cancel_all_orders(SYMBOL)

    async def until_unwatched(self, watch, arguments):
        with self.assertRaises(UnsubscribeError):
            while True:
                await watch(*arguments)

    async def stops(self, calls):
        listener, other = self.listener("ALICE"), self.listener("ALICE")
        ends = []
        for name, *arguments in calls.values():
            watch = getattr(listener, f"watch_{name}")
            ends.append(self.start(self.until_unwatched(watch, arguments)))
            self.keep(getattr(other, f"watch_{name}"), *arguments)
        count = lambda one: {stream: len(one.heard(stream)) for stream in calls}
        heard = lambda: all([*count(listener).values(), *count(other).values()])
        await self.primed("all streams", heard, self.act)
        await until("a whole book", lambda: listener.orderbooks[SYMBOL]["nonce"])
        for name, *arguments in calls.values():
            await getattr(listener, f"un_watch_{name}")(*arguments)
        for end in ends:
            await soon("a watch that ends", end)
        # The socket is read in order, so what is asked for now shows that the rest was heard.
        await soon("a ticker", listener.watch_ticker("SOL/BTC"))
        before, of_other = count(listener), count(other)
        self.act()
        more = lambda: all(of_other[stream] < told for stream, told in count(other).items())
        await until("what the other goes on to hear", more)
        await soon("a ticker", listener.watch_ticker("SOL/BTC"))
        self.assertEqual(count(listener), before)

        for name, *arguments in calls.values():
            self.keep(getattr(listener, f"watch_{name}"), *arguments)
        again = lambda: all(before[stream] < told for stream, told in count(listener).items())
        await self.primed("all streams again", again, self.act)

    async def test_nothing_comes_after_unwatching_until_it_is_watched_again(self):
        await self.stops(self.CALLS)

    async def test_the_same_of_several_markets(self):
        await self.stops(self.CALLS_FOR_SYMBOLS)

    async def test_prices_watched_again_come_once(self):
        listener = self.listener("ALICE")
        again = lambda: self.sell("25.01", "1")
        both = [SYMBOL, ETHER]
        for kind, what in (("ticker", SYMBOL), ("tickers", both), ("bids_asks", [SYMBOL])):
            watch, unwatch = (getattr(listener, f"{way}watch_{kind}") for way in ("", "un_"))
            end = self.start(self.until_unwatched(watch, [what]))
            known = listener.bidsasks if kind == "bids_asks" else listener.tickers
            symbols = {what} if kind == "ticker" else set(what)
            await self.primed("prices", lambda: symbols <= set(known), again)
            await unwatch(what)
            await soon("a watch that ends", end)
            end = self.start(watch(what))
            await self.primed("prices again", end.done, again)
        for stream in ("ticker.SOL_USDC", "ticker.ETH_USDC", "bookTicker.SOL_USDC"):
            times = [data["E"] for data in listener.heard(stream)]
            self.assertEqual(times, sorted(set(times)), stream)

    async def test_ends_that_raise_within_the_client_are_taken_all_the_same(self):
        # They were sent before this client looks for what it does not have.
        listener, other = self.listener("ALICE"), self.listener("ALICE")
        ends = [
            self.start(self.until_unwatched(listener.watch_orders, [])),
            self.start(self.until_unwatched(listener.watch_positions, [])),
            self.start(self.until_unwatched(listener.watch_positions, [[SYMBOL]])),
        ]
        self.keep(other.watch_orders)
        stream = "account.orderUpdate"
        heard = lambda: listener.heard(stream) and other.heard(stream)
        await self.primed("orders", heard, lambda: self.sell("25.01", "1"))
        for unwatch, arguments in (
            (listener.un_watch_orders, []),
            (listener.un_watch_positions, []),
            (listener.un_watch_positions, [[SYMBOL]]),
        ):
            with self.assertRaises((AttributeError, TypeError)):
                await unwatch(*arguments)
        for end in ends:
            await soon("a watch that ends", end)
        await soon("a ticker", listener.watch_ticker("SOL/BTC"))
        before, of_other = len(listener.heard(stream)), len(other.heard(stream))
        self.alice.cancel_all_orders(SYMBOL)
        await until("what the other goes on to hear", lambda: of_other < len(other.heard(stream)))
        await soon("a ticker", listener.watch_ticker("SOL/BTC"))
        self.assertEqual(len(listener.heard(stream)), before)


if __name__ == "__main__":
    unittest.main()

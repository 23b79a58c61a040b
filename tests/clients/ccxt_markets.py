"""Public data through ccxt, against trades and orders the test made itself."""

import unittest
from decimal import Decimal

from ccxt_world import SYMBOL, Ccxt, at_this_exchange
from world import eventually, now_ms

import ccxt


class Listing(Ccxt):
    def test_markets_say_what_orders_are_held_to(self):
        fresh = ccxt.backpack()
        fresh.urls["api"] = dict(self.alice.urls["api"])
        markets = fresh.load_markets()
        market = markets[SYMBOL]
        self.assertEqual((market["id"], market["type"], market["spot"]), ("SOL_USDC", "spot", True))
        self.assertEqual((market["active"], market["base"], market["quote"]), (True, "SOL", "USDC"))
        self.assertEqual(market["precision"], {"amount": 0.01, "price": 0.01})
        self.assertEqual(market["limits"]["amount"]["min"], 0.01)
        self.assertEqual(market["limits"]["price"]["min"], 0.01)
        self.assertIsInstance(market["created"], int)
        listed = {one["symbol"] for one in fresh.fetch_markets()}
        self.assertLessEqual({"SOL/USDC", "BTC/USDC", "ETH/USDC", "SOL/BTC"}, listed)

    def test_currencies_are_active_and_have_networks(self):
        currencies = self.alice.fetch_currencies()
        for code in ("SOL", "USDC", "BTC", "ETH"):
            currency = currencies[code]
            self.assertIsNot(currency["active"], False, code)
            self.assertEqual((currency["deposit"], currency["withdraw"]), (True, True), code)
            self.assertTrue(currency["networks"], code)
            for network in currency["networks"].values():
                self.assertIsNotNone(network["fee"])
                self.assertLess(0, network["limits"]["withdraw"]["min"])

    def test_status_and_time(self):
        self.assertEqual(self.alice.fetch_status()["status"], "ok")
        text = self.alice.publicGetApiV1Time()
        self.assertLess(abs(int(text) - now_ms()), 5_000)
        # This client takes the first character of the text; a whole number would be no JSON.
        self.assertEqual(self.alice.fetch_time(), int(str(text)[0]))


class Prices(Ccxt):
    def test_a_ticker_follows_the_last_trade(self):
        self.trade("20.01", "1")
        before = self.alice.fetch_ticker(SYMBOL)
        self.trade("20.21", "0.5")
        ticker = self.alice.fetch_ticker(SYMBOL)
        self.assertEqual((ticker["symbol"], ticker["last"], ticker["close"]), (SYMBOL, 20.21, 20.21))
        more = Decimal(ticker["info"]["volume"]) - Decimal(before["info"]["volume"])
        self.assertEqual(more, Decimal("0.5"))
        more = Decimal(ticker["info"]["quoteVolume"]) - Decimal(before["info"]["quoteVolume"])
        self.assertEqual(more, Decimal("10.105"))
        self.assertLessEqual(ticker["low"], 20.01)
        self.assertGreaterEqual(ticker["high"], 20.21)
        change = Decimal(ticker["info"]["lastPrice"]) - Decimal(ticker["info"]["firstPrice"])
        self.assertEqual(Decimal(ticker["info"]["priceChange"]), change)
        percentage = 100 * change / Decimal(ticker["info"]["firstPrice"])
        self.assertAlmostEqual(ticker["percentage"], float(percentage), places=3)
        both = self.alice.fetch_tickers([SYMBOL, "BTC/USDC"])
        self.assertEqual(set(both), {SYMBOL, "BTC/USDC"})
        self.assertEqual(both[SYMBOL]["last"], 20.21)

    def test_the_book_has_the_best_levels_at_every_limit(self):
        prices = [Decimal("25") + Decimal(n) / 100 for n in range(12)]
        orders = [
            {"symbol": SYMBOL, "type": "limit", "side": "sell", "amount": 1, "price": float(price)}
            for price in prices
        ]
        self.alice.create_orders(orders)
        bids = [
            {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 2, "price": 18 - n / 100}
            for n in range(7)
        ]
        self.bob.create_orders(bids)
        for limit in (None, 1, 5, 7, 10, 20, 50, 100, 500, 1000):
            with self.subTest(limit=limit):
                book = self.alice.fetch_order_book(SYMBOL, limit)
                asks = [[float(price), 1.0] for price in prices][:limit]
                self.assertEqual(book["asks"], asks)
                wanted = [[round(18 - n / 100, 2), 2.0] for n in range(7)][:limit]
                self.assertEqual(book["bids"], wanted)
                self.assertIsInstance(book["nonce"], int)
                self.assertLess(abs(book["timestamp"] - now_ms()), 60_000)
        first = self.alice.fetch_order_book(SYMBOL)["nonce"]
        self.alice.cancel_all_orders(SYMBOL)
        book = self.alice.fetch_order_book(SYMBOL)
        self.assertEqual((book["asks"], first < book["nonce"]), ([], True))

    def test_public_trades_name_the_side_that_took(self):
        self.trade("20.02", "0.7")
        self.bob.create_order(SYMBOL, "limit", "buy", "0.3", "20.00")
        self.alice.create_order(SYMBOL, "limit", "sell", "0.3", "20.00")

        def two_newest():
            trades = self.alice.fetch_trades(SYMBOL, None, 2)
            told = [(one["price"], one["amount"], one["side"]) for one in trades]
            return trades if told == [(20.02, 0.7, "buy"), (20.0, 0.3, "sell")] else None

        older, newer = eventually("both trades", two_newest)
        self.assertEqual(int(newer["id"]) - int(older["id"]), 1)
        self.assertEqual(older["cost"], 14.014)
        self.assertLess(abs(newer["timestamp"] - now_ms()), 60_000)
        (behind,) = self.alice.fetch_trades(SYMBOL, None, 1, {"offset": 1})
        self.assertEqual(behind["id"], older["id"])
        self.assertEqual(self.alice.fetch_trades(SYMBOL, now_ms() + 60_000), [])

    def test_candles_of_every_length_hold_the_last_trade(self):
        self.trade("20.03", "0.1")

        def closed_at(timeframe):
            candles = self.alice.fetch_ohlcv(SYMBOL, timeframe)
            return candles if candles and candles[-1][4] == 20.03 else None

        # Two of the names this client lists have lost their unit: "15" and "30".
        for timeframe in [name for name in self.alice.timeframes if name[-1].isalpha()]:
            with self.subTest(timeframe=timeframe):
                candles = eventually(f"a candle of {timeframe}", lambda: closed_at(timeframe))
                starts = [candle[0] for candle in candles]
                self.assertEqual(starts, sorted(set(starts)))
                start, _, high, low, close, volume = candles[-1]
                self.assertLessEqual(low, close)
                self.assertLessEqual(close, high)
                self.assertLess(0, volume)
                # A month is counted as thirty days here, so it is looked at by its start alone.
                if timeframe != "1M":
                    length = self.alice.parse_timeframe(timeframe) * 1000
                    self.assertTrue(now_ms() - 60_000 - length < start <= now_ms())
        since = now_ms() - 600_000
        candles = self.alice.fetch_ohlcv(SYMBOL, "1m", since, 3)
        self.assertLessEqual(len(candles), 3)


if __name__ == "__main__":
    unittest.main()

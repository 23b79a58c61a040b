"""bpx-py through its main calls: client ids as text, flags as Python writes them, JSON as it
comes."""

import unittest
from decimal import Decimal

from bpx.account import Account
from bpx.public import Public

from world import REST_URL, eventually, keys, now_ms

SYMBOL = "ETH_USDC"
ADDRESS = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"

Account.BPX_API_URL = REST_URL + "/"
Public.BASE_URL = REST_URL + "/"


def client(name):
    key, secret = keys(name)
    return Account(key, secret)


class BpxPy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.alice, cls.bob, cls.public = client("ALICE"), client("BOB"), Public()

    def tearDown(self):
        self.alice.cancel_all_orders(SYMBOL)
        self.bob.cancel_all_orders(SYMBOL)

    def available(self, account, asset):
        return Decimal(account.get_balances()[asset]["available"])

    def sell(self, price="2100.00", quantity="1", **more):
        return self.alice.execute_order(
            SYMBOL, "Ask", "Limit", price=price, quantity=quantity, **more
        )


class Trading(BpxPy):
    def test_two_accounts_trade(self):
        before = self.available(self.bob, "USDC")
        resting = self.sell(client_id=78, post_only=True, self_trade_prevention="RejectMaker")
        self.assertEqual((resting["status"], resting["postOnly"]), ("New", True))
        taken = self.bob.execute_order(SYMBOL, "Bid", "Market", quote_quantity="1050")
        self.assertEqual((taken["status"], taken["executedQuantity"]), ("Filled", "0.5000"))
        self.assertEqual(before - self.available(self.bob, "USDC"), Decimal("1050"))
        seen = self.alice.get_open_order(SYMBOL, client_id=78)
        self.assertEqual((seen["id"], seen["executedQuoteQuantity"]), (resting["id"], "1050"))
        gone = self.alice.cancel_order(SYMBOL, client_id=78)
        self.assertEqual((gone["id"], gone["status"]), (resting["id"], "Cancelled"))
        again = self.alice.cancel_order(SYMBOL, order_id=resting["id"])
        self.assertEqual(again["code"], "RESOURCE_NOT_FOUND")

    def test_open_orders_and_their_end(self):
        first, second = self.sell("2500"), self.sell("2501", time_in_force="GTC")
        listed = self.alice.get_open_orders(symbol=SYMBOL, market_type="SPOT")
        self.assertEqual([one["id"] for one in listed], [first["id"], second["id"]])
        cancelled = self.alice.cancel_all_orders(SYMBOL)
        self.assertEqual(len(cancelled), 2)
        (row,) = self.alice.get_order_history(symbol=SYMBOL, order_id=first["id"])
        self.assertEqual((row["status"], row["expiryReason"]), ("Cancelled", None))

    def test_fills(self):
        order = self.sell()
        self.bob.execute_order(SYMBOL, "Bid", "Limit", price="2100", quantity="1")

        def newest():
            fills = self.alice.get_fill_history(symbol=SYMBOL, limit=1, market_type="SPOT")
            return fills if fills and fills[0]["orderId"] == order["id"] else None

        (fill,) = eventually("the fill", newest)
        self.assertEqual((fill["price"], fill["quantity"]), ("2100.00", "1.0000"))
        self.assertEqual((fill["fee"], fill["feeSymbol"]), ("1.68", "USDC"))

    def test_refusals_are_codes(self):
        self.assertEqual(self.sell(quantity="5000")["code"], "INSUFFICIENT_FUNDS")
        self.assertEqual(self.sell(price="1.001")["code"], "INVALID_PRICE")
        self.assertEqual(self.sell(reduce_only=True)["code"], "NOT_IMPLEMENTED")


class Capital(BpxPy):
    def test_account_and_limits(self):
        self.assertEqual(self.alice.get_account()["spotTakerFee"], "10")
        self.assertEqual(self.alice.get_open_positions(), [])
        most = self.alice.get_max_order_quantity(SYMBOL, "Ask", reduce_only=False, auto_borrow=True)
        eth = self.available(self.alice, "ETH").quantize(Decimal("0.0001"), "ROUND_DOWN")
        self.assertEqual(Decimal(most["maxOrderQuantity"]), eth)
        most = self.alice.get_max_withdrawal_quantity("ETH", auto_lend_redeem=True)
        self.assertEqual(most["symbol"], "ETH")

    def test_deposits_and_withdrawals(self):
        deposits = eventually("deposits", lambda: self.alice.get_deposits(limit=10))
        self.assertIn("USDC", {row["symbol"] for row in deposits})
        self.assertTrue(self.alice.get_deposit_address("Solana")["address"])
        assets = {one["symbol"]: one for one in self.public.get_assets()}
        chain = assets["USDC"]["tokens"][0]["blockchain"]
        before = self.available(self.alice, "USDC")
        row = self.alice.withdrawal(ADDRESS, "USDC", chain, "30", client_id=12345)
        self.assertEqual((row["quantity"], row["toAddress"]), ("30", ADDRESS))
        spent = before - self.available(self.alice, "USDC")
        self.assertEqual(spent, Decimal(30) + Decimal(row["fee"]))
        listed = eventually("it is listed", lambda: self.alice.get_withdrawals(limit=1))
        self.assertEqual(listed[0]["id"], row["id"])


class Market(BpxPy):
    def test_public_data(self):
        self.sell()
        self.bob.execute_order(SYMBOL, "Bid", "Limit", price="2100", quantity="0.125")
        self.assertEqual(self.public.get_ping(), "pong")
        self.assertEqual(self.public.get_status()["status"], "Ok")
        self.assertLess(abs(int(self.public.get_time()) - now_ms()), 5_000)
        self.assertEqual(self.public.get_ticker(SYMBOL)["lastPrice"], "2100.00")
        self.assertEqual(self.public.get_depth(SYMBOL)["asks"], [["2100.00", "0.8750"]])
        self.assertIn(SYMBOL, [one["symbol"] for one in self.public.get_tickers()])
        self.assertIn(SYMBOL, [one["symbol"] for one in self.public.get_markets()])
        one = self.public.http_client.get(self.public.get_market_url(SYMBOL))
        self.assertEqual(one["symbol"], SYMBOL)

        def traded():
            trades = self.public.get_recent_trades(SYMBOL, limit=1)
            return trades if trades and trades[0]["quantity"] == "0.1250" else None

        (trade,) = eventually("the trade", traded)
        (same,) = self.public.get_history_trades(SYMBOL, limit=1, offset=0)
        self.assertEqual(same["id"], trade["id"])
        now = now_ms() // 1000
        candles = self.public.get_klines(SYMBOL, "1h", now - 3600, now)
        self.assertEqual(candles[-1]["close"], "2100.00")


if __name__ == "__main__":
    unittest.main()

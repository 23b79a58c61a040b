"""backpack-exchange-sdk through its main calls: base address with a slash at its end, batches with
flags, JSON as it comes."""

import unittest
from decimal import Decimal

from backpack_exchange_sdk._base import errors
from backpack_exchange_sdk.authenticated import AuthenticationClient
from backpack_exchange_sdk.enums import OrderType, SelfTradePrevention, Side, TimeInForce
from backpack_exchange_sdk.public import PublicClient

from world import REST_URL, eventually, keys, now_ms

SYMBOL = "ETH_USDC"
ADDRESS = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"


def client(name, slash="/"):
    key, secret = keys(name)
    return AuthenticationClient(key, secret, base_url=REST_URL + slash, timeout=10)


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.alice, cls.bob = client("ALICE"), client("BOB")
        cls.public = PublicClient(base_url=REST_URL + "/", timeout=10)

    def tearDown(self):
        self.alice.cancel_open_orders(SYMBOL)
        self.bob.cancel_open_orders(SYMBOL)

    def available(self, account, asset):
        return Decimal(account.get_balances()[asset]["available"])

    def sell(self, price="2000.00", quantity="1", **more):
        return self.alice.execute_order(
            OrderType.LIMIT, Side.ASK, SYMBOL, price=price, quantity=quantity, **more
        )


class Trading(Sdk):
    def test_two_accounts_trade(self):
        before = self.available(self.bob, "ETH")
        resting = self.sell(clientId=77, autoLend=False)
        self.assertEqual((resting["status"], resting["clientId"]), ("New", 77))
        taken = self.bob.execute_order(
            OrderType.MARKET,
            Side.BID,
            SYMBOL,
            quantity="0.5",
            brokerId=7,
            selfTradePrevention=SelfTradePrevention.REJECT_BOTH,
        )
        self.assertEqual((taken["status"], taken["executedQuoteQuantity"]), ("Filled", "1000"))
        self.assertEqual(self.available(self.bob, "ETH") - before, Decimal("0.4995"))
        seen = self.alice.get_users_open_orders(SYMBOL, clientId="77")
        self.assertEqual((seen["id"], seen["status"]), (resting["id"], "PartiallyFilled"))
        gone = self.alice.cancel_open_order(SYMBOL, clientId="77")
        self.assertEqual((gone["status"], gone["executedQuantity"]), ("Cancelled", "0.5000"))
        with self.assertRaises(errors.BackpackNotFoundError):
            self.alice.get_users_open_orders(SYMBOL, orderId=resting["id"])

    def test_what_was_is_in_the_histories(self):
        resting = self.sell()
        self.bob.execute_order(
            "Limit", "Bid", SYMBOL, price="2000", quantity="1", timeInForce=TimeInForce.IOC
        )
        (order,) = self.alice.get_order_history(orderId=resting["id"])
        self.assertEqual((order["status"], order["quantity"]), ("Filled", "1.0000"))

        def fills():
            return self.alice.get_fill_history(orderId=resting["id"], fillType="User")

        (fill,) = eventually("the fill", fills)
        self.assertEqual((fill["isMaker"], fill["fee"], fill["feeSymbol"]), (True, "1.6", "USDC"))
        self.assertEqual(fill["clientId"], None)

    def test_a_batch_with_flags(self):
        order = {"symbol": SYMBOL, "side": "Ask", "orderType": "Limit", "quantity": "1"}
        placed = self.alice.execute_batch_orders(
            [
                {**order, "price": "2500", "postOnly": True},
                {**order, "price": "2501", "postOnly": False, "clientId": 5},
                {**order, "price": "2501.001"},
            ]
        )
        self.assertEqual([one["operation"] for one in placed], ["Ok", "Ok", "Err"])
        self.assertEqual(placed[2]["code"], "INVALID_PRICE")
        open_orders = self.alice.get_open_orders(SYMBOL, marketType="SPOT")
        self.assertEqual({one["id"] for one in open_orders}, {one["id"] for one in placed[:2]})
        self.assertEqual(self.alice.get_open_orders(marketType="PERP"), [])
        self.assertEqual(self.alice.cancel_open_orders(SYMBOL, "ConditionalOrder"), [])
        cancelled = self.alice.cancel_open_orders(SYMBOL, "RestingLimitOrder")
        self.assertEqual({one["status"] for one in cancelled}, {"Cancelled"})
        self.assertEqual(len(cancelled), 2)

    def test_refusals_have_their_classes(self):
        with self.assertRaises(errors.BackpackInsufficientFundsError) as refused:
            self.sell(quantity="5000")
        self.assertEqual(refused.exception.code, "INSUFFICIENT_FUNDS")
        with self.assertRaises(errors.BackpackInvalidRequestError):
            self.sell(price="0.001")
        with self.assertRaises(errors.BackpackUnauthorizedError):
            stranger = client("ALICE")
            stranger.key = "A" * 43 + "="
            stranger.get_balances()

    def test_a_base_address_with_two_slashes_will_do(self):
        self.assertEqual(
            set(client("ALICE", slash="//").get_balances()), set(self.alice.get_balances())
        )


class Account(Sdk):
    def test_settings(self):
        settings = self.alice.get_account()
        self.assertEqual((settings["spotMakerFee"], settings["spotTakerFee"]), ("8", "10"))
        self.sell()
        self.assertEqual(self.alice.get_account()["limitOrders"], settings["limitOrders"] + 1)
        self.alice.update_account(autoLend=False, leverageLimit="1")
        with self.assertRaises(errors.BackpackAPIError) as refused:
            self.alice.update_account(autoLend=True)
        self.assertEqual(refused.exception.code, "NOT_IMPLEMENTED")

    def test_limits_are_what_the_account_has(self):
        eth = self.available(self.alice, "ETH")
        most = self.alice.get_max_order_quantity(SYMBOL, "Ask", autoBorrow=True, reduceOnly=False)
        self.assertEqual(Decimal(most["maxOrderQuantity"]), eth.quantize(Decimal("0.0001"), "ROUND_DOWN"))
        usdc = self.available(self.alice, "USDC")
        most = self.alice.get_max_order_quantity(SYMBOL, "Bid", price="2000")
        wanted = (usdc / 2000).quantize(Decimal("0.0001"), "ROUND_DOWN")
        self.assertEqual(Decimal(most["maxOrderQuantity"]), wanted)
        most = self.alice.get_max_withdrawal_quantity("USDC", autoBorrow=False)
        self.assertLessEqual(Decimal(most["maxWithdrawalQuantity"]), usdc)
        self.assertLess(usdc - 100, Decimal(most["maxWithdrawalQuantity"]))

    def test_capital(self):
        deposits = eventually("deposits", lambda: self.alice.get_deposits(excludePlatform=True))
        self.assertEqual({row["status"] for row in deposits}, {"confirmed"})
        address = self.alice.get_deposit_address("Solana")["address"]
        self.assertEqual(self.alice.get_deposit_address("Solana")["address"], address)
        chain = self.public_chain("USDC")
        before = self.available(self.alice, "USDC")
        row = self.alice.request_withdrawal(
            ADDRESS, chain, "25", "USDC", client_id="my own name", auto_borrow=False
        )
        self.assertEqual((row["quantity"], row["clientId"]), ("25", "my own name"))
        spent = Decimal(25) + Decimal(row["fee"])
        self.assertEqual(before - self.available(self.alice, "USDC"), spent)
        rows = eventually("it is listed", lambda: self.alice.get_withdrawals(limit=1))
        self.assertEqual(rows[0]["id"], row["id"])

    def public_chain(self, asset):
        (found,) = [one for one in self.public.get_assets() if one["symbol"] == asset]
        return found["tokens"][0]["blockchain"]


class Public(Sdk):
    def test_system(self):
        self.assertEqual(self.public.send_ping(), "pong")
        self.assertEqual(self.public.get_status()["status"], "Ok")
        self.assertLess(abs(int(self.public.get_system_time()) - now_ms()), 5_000)
        self.assertEqual(self.public.get_wallets(), [])

    def test_market_data(self):
        self.sell()
        self.bob.execute_order("Limit", "Bid", SYMBOL, price="2000", quantity="0.25")
        self.assertEqual(self.public.get_market(SYMBOL)["orderBookState"], "Open")
        self.assertIn(SYMBOL, [one["symbol"] for one in self.public.get_markets()])
        self.assertEqual(self.public.get_ticker(SYMBOL)["lastPrice"], "2000.00")
        self.assertIn(SYMBOL, [one["symbol"] for one in self.public.get_tickers()])
        self.assertEqual(self.public.get_depth(SYMBOL)["asks"], [["2000.00", "0.7500"]])

        def traded():
            trades = self.public.get_recent_trades(SYMBOL, limit=1)
            return trades if trades and trades[0]["quantity"] == "0.2500" else None

        (trade,) = eventually("the trade", traded)
        self.assertEqual((trade["quoteQuantity"], trade["isBuyerMaker"]), ("500", False))
        (same,) = self.public.get_historical_trades(SYMBOL, limit=1, offset=0)
        self.assertEqual(same["id"], trade["id"])
        candles = self.public.get_klines(SYMBOL, "1h", now_ms() // 1000 - 3600)
        self.assertEqual(candles[-1]["close"], "2000.00")


if __name__ == "__main__":
    unittest.main()

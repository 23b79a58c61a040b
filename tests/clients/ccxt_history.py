"""What was: finished orders, fills, deposits and withdrawals, as ccxt reads them."""

import unittest
from decimal import Decimal

import ccxt

from ccxt_world import SYMBOL, Ccxt, exact
from world import eventually, now_ms

ADDRESS = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"


class Orders(Ccxt):
    def test_finished_orders_are_listed_and_open_ones_are_not(self):
        since = now_ms() - 1_000
        resting, taken = self.trade("20.01", "1.5")
        cancelled = self.sell("25.01", "1")
        self.alice.cancel_order(cancelled["id"], SYMBOL)
        still_open = self.sell("25.02", "1")
        listed = {order["id"]: order for order in self.alice.fetch_orders(SYMBOL, since)}
        self.assertNotIn(still_open["id"], listed)
        self.assertNotIn(taken["id"], listed)
        done = listed[resting["id"]]
        self.assertEqual((done["status"], done["filled"], done["average"]), ("closed", 1.5, 20.01))
        self.assertEqual(exact(done, "executedQuoteQuantity"), Decimal("30.015"))
        self.assertEqual(done["timestamp"], resting["timestamp"])
        self.assertNotIn("Z", done["info"]["createdAt"])
        self.assertEqual(listed[cancelled["id"]]["status"], "canceled")
        latest = self.alice.fetch_orders(SYMBOL, None, 1)
        self.assertEqual([order["id"] for order in latest], [cancelled["id"]])
        self.assertEqual(self.alice.fetch_orders("BTC/USDC"), [])


class Fills(Ccxt):
    def test_both_sides_see_their_fill_with_its_fee(self):
        since = now_ms() - 1_000
        resting, taken = self.trade("20.01", "1.23")
        self.fill_of(self.bob, taken, since, "buy", "taker", ("0.00123", "SOL"))
        self.fill_of(self.alice, resting, since, "sell", "maker", ("0.01969", "USDC"))

    def fill_of(self, account, order, since, side, role, fee):
        def find():
            trades = account.fetch_my_trades(SYMBOL, since)
            return [trade for trade in trades if trade["order"] == order["id"]]

        (trade,) = eventually("the fill", find)
        self.assertEqual((trade["symbol"], trade["side"]), (SYMBOL, side))
        self.assertEqual(trade["takerOrMaker"], role)
        self.assertEqual((trade["price"], trade["amount"], trade["cost"]), (20.01, 1.23, 24.6123))
        self.assertEqual(trade["fee"]["cost"], float(fee[0]))
        self.assertEqual((trade["info"]["fee"], trade["fee"]["currency"]), fee)
        self.assertLess(abs(trade["timestamp"] - now_ms()), 30_000)
        self.assertIsInstance(trade["info"]["tradeId"], int)
        public = self.alice.fetch_trades(SYMBOL, None, 20)
        self.assertIn(trade["id"], [one["id"] for one in public])

    def test_time_limit_and_client_id_of_fills(self):
        order = self.sell("20.01", "1", clientOrderId=41)
        for _ in range(3):
            self.buy("20.01", "0.25")

        def of_the_order(**params):
            trades = self.alice.fetch_my_trades(SYMBOL, None, None, {"orderId": order["id"], **params})
            return trades if len(trades) == 3 else None

        trades = eventually("three fills", of_the_order)
        self.assertEqual({trade["info"]["clientId"] for trade in trades}, {"41"})
        self.assertEqual([trade["amount"] for trade in trades], [0.25] * 3)
        ids = [int(trade["id"]) for trade in trades]
        self.assertEqual(sorted(ids), list(range(min(ids), min(ids) + 3)))
        newest = self.alice.fetch_my_trades(SYMBOL, None, 1)
        self.assertEqual([int(trade["id"]) for trade in newest], [max(ids)])
        later = now_ms() + 60_000
        self.assertEqual(self.alice.fetch_my_trades(SYMBOL, later), [])
        until = {"until": min(trade["timestamp"] for trade in trades) - 1}
        earlier = self.alice.fetch_my_trades(SYMBOL, None, None, until)
        self.assertFalse({int(trade["id"]) for trade in earlier} & set(ids))


class Capital(Ccxt):
    def test_deposits_are_listed_with_what_came(self):
        deposits = eventually("the deposits", lambda: self.alice.fetch_deposits("USDC"))
        self.assertEqual({deposit["currency"] for deposit in deposits}, {"USDC"})
        first = deposits[0]
        self.assertEqual((first["amount"], first["status"]), (1_000_000.0, "ok"))
        self.assertTrue(first["id"].isdigit())
        self.assertEqual(first["info"]["source"], "administrator")
        self.assertLess(first["timestamp"], now_ms() + 1)
        assets = {deposit["currency"] for deposit in self.alice.fetch_deposits()}
        self.assertEqual(assets, {"SOL", "BTC", "ETH", "USDC"})
        self.assertEqual(len(self.alice.fetch_deposits(None, None, 2)), 2)
        self.assertEqual(self.alice.fetch_deposits("USDC", now_ms() + 60_000), [])

    def test_a_deposit_address_stays_the_same_and_is_the_accounts_own(self):
        of = lambda account, network: account.fetch_deposit_address("USDC", {"network": network})
        address = of(self.alice, self.network("USDC"))["address"]
        self.assertTrue(address)
        self.assertEqual(of(self.alice, self.network("USDC"))["address"], address)
        self.assertNotEqual(of(self.bob, self.network("USDC"))["address"], address)

    def test_a_withdrawal_debits_at_once_and_is_confirmed(self):
        params = {"network": self.network("USDC")}
        made = self.bob.withdraw("USDC", 12.5, ADDRESS, params)
        self.assertEqual((made["currency"], made["amount"]), ("USDC", 12.5))
        self.assertEqual((made["addressTo"], made["internal"]), (ADDRESS, False))
        self.assertIn(made["status"], ("pending", "ok"))
        fee = Decimal(made["info"]["fee"])
        self.moved("bob", USDC=str(-Decimal("12.5") - fee))

        def confirmed():
            rows = self.bob.fetch_withdrawals("USDC", made["timestamp"] - 1)
            return [row for row in rows if row["id"] == made["id"] and row["status"] == "ok"]

        (row,) = eventually("it is confirmed", confirmed)
        self.assertEqual((row["amount"], row["addressTo"]), (12.5, ADDRESS))
        self.assertEqual(row["network"], params["network"])
        self.assertEqual(self.bob.fetch_withdrawals("USDC", now_ms() + 60_000), [])

    def test_an_address_with_characters_that_are_escaped_is_signed_all_the_same(self):
        address = "addr:with/odd chars+and=more"
        params = {"network": self.network("SOL")}
        made = self.bob.withdraw("SOL", 0.5, address, params)
        self.assertEqual(made["addressTo"], address)

    def test_withdrawals_that_cannot_be_are_refused(self):
        params = {"network": self.network("USDC")}
        with self.assertRaises(ccxt.InsufficientFunds):
            self.bob.withdraw("USDC", 10_000_000, ADDRESS, params)
        raw = {"symbol": "USDC", "address": ADDRESS, "quantity": "1", "blockchain": "Solana"}
        for member, value in (("symbol", "NONE"), ("quantity", "0"), ("blockchain", "Moon")):
            with self.subTest(member=member), self.assertRaises(ccxt.BadRequest):
                self.bob.privatePostWapiV1CapitalWithdrawals({**raw, member: value})
        self.moved("bob")

    def network(self, asset):
        """A network of the asset, by ccxt's name."""
        return next(iter(self.alice.currencies[asset]["networks"]))


if __name__ == "__main__":
    unittest.main()

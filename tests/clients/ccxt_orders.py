"""Orders through ccxt: every way to place, look at and cancel them, to the last unit."""

import unittest
from decimal import Decimal

import ccxt

from ccxt_world import SYMBOL, Ccxt, exact
from world import TAKER_FEE, fee_units, now_ms


class Placing(Ccxt):
    def test_a_limit_order_rests_is_seen_everywhere_and_is_cancelled(self):
        order = self.sell("25.01", "2")
        self.assertTrue(order["id"].isdigit())
        self.assertEqual(
            [order[name] for name in ("symbol", "type", "side", "timeInForce", "postOnly")],
            [SYMBOL, "limit", "sell", "GTC", False],
        )
        self.assertEqual(
            [order[name] for name in ("amount", "filled", "remaining", "price", "cost")],
            [2.0, 0.0, 2.0, 25.01, 0.0],
        )
        self.assertIsNone(order["clientOrderId"])
        self.assertLess(abs(order["timestamp"] - now_ms()), 10_000)
        self.moved("alice", SOL=("-2", "2"))

        same = ("id", "symbol", "type", "side", "price", "amount", "filled", "status", "timestamp")
        pick = lambda one: [one[name] for name in same]
        self.assertEqual(pick(self.alice.fetch_open_order(order["id"], SYMBOL)), pick(order))
        self.assertEqual(pick(self.alice.fetch_order(order["id"], SYMBOL)), pick(order))
        for symbol in (SYMBOL, None):
            listed = self.alice.fetch_open_orders(symbol)
            self.assertEqual([pick(one) for one in listed], [pick(order)])
        self.assertEqual(self.bob.fetch_open_orders(), [])

        cancelled = self.alice.cancel_order(order["id"], SYMBOL)
        self.assertEqual((cancelled["id"], cancelled["status"]), (order["id"], "canceled"))
        self.assertEqual(self.alice.fetch_order(order["id"], SYMBOL)["status"], "canceled")
        self.assertEqual(self.alice.fetch_open_orders(SYMBOL), [])
        self.moved("alice")

    def test_a_limit_order_takes_what_is_better_and_pays_the_resting_price(self):
        resting = self.sell("20.01", "2")
        order = self.buy("20.05", "1.23")
        self.assertEqual((order["status"], order["average"]), ("closed", 20.01))
        self.assertEqual((order["filled"], order["remaining"], order["price"]), (1.23, 0.0, 20.05))
        self.assertEqual(exact(order, "executedQuoteQuantity"), Decimal("24.6123"))
        self.assertEqual(order["cost"], 24.6123)
        # Ten basis points of 1.23; eight of 24.6123 are 0.01968984, up to the unit 0.01969.
        self.moved("bob", SOL="1.22877", USDC="-24.6123")
        self.moved("alice", SOL=("-2", "0.77"), USDC="24.59261")
        seen = self.alice.fetch_order(resting["id"], SYMBOL)
        self.assertEqual((seen["status"], seen["filled"], seen["remaining"]), ("open", 1.23, 0.77))
        self.assertEqual(seen["info"]["status"], "PartiallyFilled")

    def test_what_does_not_trade_rests(self):
        self.sell("20.01", "2")
        order = self.buy("20.05", "3")
        self.assertEqual((order["status"], order["filled"], order["remaining"]), ("open", 2.0, 1.0))
        self.assertEqual((order["average"], order["cost"]), (20.01, 40.02))
        self.moved("bob", SOL="1.998", USDC=("-60.07", "20.05"))
        cancelled = self.bob.cancel_order(order["id"], SYMBOL)
        self.assertEqual((cancelled["status"], cancelled["filled"]), ("canceled", 2.0))
        self.moved("bob", SOL="1.998", USDC="-40.02")

    def test_a_market_order_by_quantity(self):
        self.sell("20.01", "1")
        self.sell("20.03", "1")
        order = self.bob.create_order(SYMBOL, "market", "buy", 1.5)
        self.assertEqual((order["type"], order["status"]), ("market", "closed"))
        self.assertEqual((order["filled"], order["amount"], order["remaining"]), (1.5, 1.5, 0.0))
        # 20.01 + 0.5 × 20.03
        self.assertEqual(exact(order, "executedQuoteQuantity"), Decimal("30.025"))
        self.moved("bob", SOL="1.4985", USDC="-30.025")

    def test_a_market_order_by_cost_spends_no_more(self):
        self.sell("20.01", "10")
        order = self.bob.create_order(SYMBOL, "market", "buy", None, None, {"cost": "50"})
        # 2.49 steps cost 49.8249; one more would be 50.025.
        self.assertEqual((order["status"], order["filled"]), ("closed", 2.49))
        self.assertEqual((order["amount"], order["average"]), (2.49, 20.01))
        self.assertEqual(exact(order, "executedQuoteQuantity"), Decimal("49.8249"))
        self.assertEqual(Decimal(order["info"]["quoteQuantity"]), Decimal("50"))
        fee = fee_units(Decimal("2.49"), TAKER_FEE, 9)
        self.moved("bob", SOL=str(Decimal("2.49") - fee), USDC="-49.8249")

    def test_a_market_sale_by_cost_receives_no_more(self):
        self.bob.create_order(SYMBOL, "limit", "buy", "10", "20.01")
        order = self.alice.create_order(SYMBOL, "market", "sell", None, None, {"cost": "50"})
        self.assertEqual((order["status"], order["filled"], order["side"]), ("closed", 2.49, "sell"))
        fee = fee_units(Decimal("49.8249"), TAKER_FEE, 6)
        self.moved("alice", SOL="-2.49", USDC=str(Decimal("49.8249") - fee))

    def test_a_market_order_on_an_empty_side_changes_nothing(self):
        order = self.bob.create_order(SYMBOL, "market", "buy", 1)
        self.assertEqual((order["status"], order["filled"]), ("canceled", 0.0))
        self.moved("bob")


class Conditions(Ccxt):
    def test_ioc_trades_what_it_can_and_drops_the_rest(self):
        self.sell("20.01", "1")
        order = self.buy("20.01", "3", timeInForce="IOC")
        self.assertEqual((order["status"], order["filled"]), ("canceled", 1.0))
        self.assertEqual((order["info"]["status"], order["timeInForce"]), ("Expired", "IOC"))
        self.moved("bob", SOL="0.999", USDC="-20.01")
        nothing = self.buy("20.01", "3", timeInForce="IOC")
        self.assertEqual((nothing["status"], nothing["filled"]), ("canceled", 0.0))

    def test_fok_trades_whole_or_not_at_all(self):
        self.sell("20.01", "1")
        refused = self.buy("20.01", "1.01", timeInForce="FOK")
        self.assertEqual((refused["status"], refused["filled"]), ("canceled", 0.0))
        self.moved("bob")
        whole = self.buy("20.01", "1", timeInForce="FOK")
        self.assertEqual((whole["status"], whole["filled"]), ("closed", 1.0))

    def test_post_only_rests_or_is_refused(self):
        resting = self.sell("20.01", "1", timeInForce="PO")
        self.assertEqual((resting["postOnly"], resting["info"]["postOnly"]), (True, True))
        for params in ({"timeInForce": "PO"}, {"postOnly": True}):
            with self.assertRaises(ccxt.InvalidOrder) as refused:
                self.buy("20.01", "1", **params)
            self.assertIn("Order would immediately match and take", str(refused.exception))
        self.moved("bob")

    def test_a_client_order_id_is_kept_and_finds_the_order(self):
        order = self.sell("25.01", "1", clientOrderId="4294967295")
        self.assertEqual(order["clientOrderId"], "4294967295")
        which = {"symbol": "SOL_USDC", "clientId": 4294967295}
        found = self.alice.privateGetApiV1Order(which)
        self.assertEqual(found["id"], order["id"])
        gone = self.alice.privateDeleteApiV1Order(which)
        self.assertEqual((gone["id"], gone["status"]), (order["id"], "Cancelled"))
        self.assertEqual(self.alice.fetch_order(order["id"], SYMBOL)["clientOrderId"], "4294967295")

    def test_self_trades_are_prevented_as_asked(self):
        for policy, taker, resting in (
            (None, "canceled", "open"),
            ("EXPIRE_TAKER", "canceled", "open"),
            ("EXPIRE_MAKER", "open", "canceled"),
            ("EXPIRE_BOTH", "canceled", "canceled"),
        ):
            with self.subTest(policy=policy):
                params = {"selfTradePrevention": policy} if policy else {}
                mine = self.sell("20.01", "1")
                order = self.alice.create_order(SYMBOL, "limit", "buy", "1", "20.01", params)
                self.assertEqual((order["status"], order["filled"]), (taker, 0.0))
                self.assertEqual(self.alice.fetch_order(mine["id"], SYMBOL)["status"], resting)
                self.alice.cancel_all_orders(SYMBOL)
                self.moved("alice")


class Many(Ccxt):
    def test_a_batch_answers_each_order_in_order(self):
        limit = {"symbol": SYMBOL, "type": "limit", "side": "sell"}
        orders = self.alice.create_orders(
            [
                {**limit, "amount": 1, "price": 25.01, "params": {"clientOrderId": 1}},
                {**limit, "amount": 1_000_000, "price": 25.01},
                {**limit, "amount": 2, "price": 25.02, "params": {"postOnly": True}},
                {"symbol": SYMBOL, "type": "market", "side": "sell", "amount": 1},
            ]
        )
        # This client sorts what it is answered by time, and a refusal has none.
        refused, placed = orders[0], orders[1:]
        self.assertEqual((refused["id"], refused["status"]), (None, None))
        self.assertEqual(refused["info"]["code"], "INSUFFICIENT_FUNDS")
        self.assertEqual(refused["info"]["operation"], "Err")
        self.assertEqual(
            sorted((order["type"], order["status"]) for order in placed),
            [("limit", "open"), ("limit", "open"), ("market", "canceled")],
        )
        by_price = {order["price"]: order for order in placed}
        self.assertEqual(by_price[25.01]["clientOrderId"], "1")
        self.assertEqual(by_price[25.02]["postOnly"], True)
        self.assertEqual({order["info"]["operation"] for order in placed}, {"Ok"})
        self.moved("alice", SOL=("-3", "3"))

    def test_cancel_all_takes_one_market_and_no_other(self):
        mine = {self.sell("25.01", "1")["id"], self.sell("25.02", "2")["id"]}
        other = self.alice.create_order("ETH/USDC", "limit", "sell", 1, 5000)
        cancelled = self.alice.cancel_all_orders(SYMBOL)
        self.assertEqual({order["id"] for order in cancelled}, mine)
        self.assertEqual({order["status"] for order in cancelled}, {"canceled"})
        self.assertEqual(self.alice.cancel_all_orders(SYMBOL), [])
        left = self.alice.fetch_open_orders()
        self.assertEqual([order["id"] for order in left], [other["id"]])
        self.moved("alice", ETH=("-1", "1"))

    def test_an_order_is_found_at_every_moment_of_its_life(self):
        for _ in range(10):
            order = self.sell("20.01", "0.5")
            self.assertEqual(self.alice.fetch_order(order["id"], SYMBOL)["status"], "open")
            taken = self.buy("20.01", "0.5")
            for account, one in ((self.bob, taken), (self.alice, order)):
                seen = account.fetch_order(one["id"], SYMBOL)
                self.assertEqual((seen["status"], seen["filled"]), ("closed", 0.5))
                self.assertEqual(seen["average"], 20.01)


if __name__ == "__main__":
    unittest.main()

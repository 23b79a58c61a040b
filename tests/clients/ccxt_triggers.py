"""Trigger orders through ccxt: they wait without holding anything, and fire on the last price."""

import unittest

import ccxt

from ccxt_world import SYMBOL, Ccxt
from world import eventually


class Triggers(Ccxt):
    def setUp(self):
        super().setUp()
        self.trade("20.00", "0.01")
        self.before = {"alice": self.wallet(self.alice), "bob": self.wallet(self.bob)}

    def test_a_waiting_order_is_open_holds_nothing_and_is_cancelled(self):
        order = self.alice.create_order(
            SYMBOL, "limit", "sell", 2, "20.50", {"triggerPrice": "20.40", "clientOrderId": 7}
        )
        self.assertEqual((order["status"], order["triggerPrice"]), ("open", 20.4))
        self.assertEqual(order["info"]["status"], "TriggerPending")
        self.assertEqual((order["amount"], order["filled"], order["price"]), (2.0, 0.0, 20.5))
        self.moved("alice")
        for seen in (
            self.alice.fetch_open_order(order["id"], SYMBOL),
            self.alice.fetch_order(order["id"], SYMBOL),
            self.alice.fetch_open_orders(SYMBOL)[0],
        ):
            self.assertEqual((seen["id"], seen["triggerPrice"]), (order["id"], 20.4))
        self.assertEqual(self.alice.cancel_order(order["id"], SYMBOL)["status"], "canceled")
        self.assertEqual(self.alice.fetch_order(order["id"], SYMBOL)["status"], "canceled")
        self.assertEqual(self.alice.fetch_open_orders(SYMBOL), [])

    def test_a_limit_order_fires_when_the_price_rises_to_it(self):
        waiting = self.bob.create_order(
            SYMBOL, "limit", "buy", 3, "20.10", {"triggerPrice": "20.30"}
        )
        self.trade("20.29", "0.01")
        self.assertIsNone(self.fired(self.bob, waiting))
        self.trade("20.30", "0.01")
        fired = eventually("it rests", lambda: self.fired(self.bob, waiting))
        self.assertEqual((fired["status"], fired["filled"]), ("open", 0.0))
        self.assertEqual((fired["amount"], fired["price"]), (3.0, 20.1))
        # 3 × 20.10 are held now, besides what the two trades have moved.
        locked = self.wallet(self.bob)["USDC"][1] - self.before["bob"]["USDC"][1]
        self.assertEqual(str(locked.normalize()), "60.3")
        sold = self.alice.create_order(SYMBOL, "limit", "sell", 3, "20.10")
        self.assertEqual((sold["status"], sold["average"]), ("closed", 20.1))
        self.assertEqual(self.bob.fetch_order(waiting["id"], SYMBOL)["status"], "closed")

    def test_a_market_order_fires_when_the_price_falls_to_it(self):
        waiting = self.alice.create_order(
            SYMBOL, "market", "sell", 2, None, {"triggerPrice": "19.90"}
        )
        self.assertEqual((waiting["status"], waiting["type"]), ("open", "market"))
        self.bob.create_order(SYMBOL, "limit", "buy", 5, "19.85")
        self.assertEqual(self.alice.fetch_order(waiting["id"], SYMBOL)["filled"], 0.0)
        # A trade above the bid is what it waits for; the bid is what it then meets.
        self.trade("19.90", "0.01")
        done = eventually("it is done", lambda: self.done(self.alice, waiting))
        self.assertEqual((done["status"], done["filled"], done["average"]), ("closed", 2.0, 19.85))

    def test_one_that_cannot_be_paid_fails_when_it_fires(self):
        waiting = self.bob.create_order(
            SYMBOL, "limit", "buy", 500_000, "20.05", {"triggerPrice": "20.10"}
        )
        self.trade("20.10", "0.01")
        done = eventually("it is done", lambda: self.done(self.bob, waiting))
        self.assertEqual((done["status"], done["info"]["status"]), ("rejected", "TriggerFailed"))
        self.assertEqual(self.bob.fetch_open_orders(SYMBOL), [])

    def test_a_trigger_needs_both_price_and_quantity(self):
        with self.assertRaises(ccxt.BadRequest) as refused:
            self.alice.create_order(
                SYMBOL, "market", "sell", None, None, {"triggerPrice": "19.90", "cost": "50"}
            )
        self.assertIn("Must specify both", str(refused.exception))

    def fired(self, account, order):
        seen = account.fetch_order(order["id"], SYMBOL)
        return None if seen["info"]["status"] == "TriggerPending" else seen

    def done(self, account, order):
        seen = account.fetch_order(order["id"], SYMBOL)
        return None if seen["status"] == "open" else seen


if __name__ == "__main__":
    unittest.main()

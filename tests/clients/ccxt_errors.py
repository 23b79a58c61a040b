"""Refusals, as the exceptions that users of ccxt catch."""

import base64
import os
import unittest

import ccxt

from ccxt_world import SYMBOL, Ccxt, client

ORDER = {
    "symbol": "SOL_USDC",
    "side": "Ask",
    "orderType": "Limit",
    "price": "25.01",
    "quantity": "1",
}


class Refusals(Ccxt):
    def refused(self, kind, code, call, *arguments):
        with self.assertRaises(ccxt.BaseError) as caught:
            call(*arguments)
        self.assertIs(type(caught.exception), kind, str(caught.exception))
        self.assertIn(f'"{code}"', str(caught.exception))

    def place(self, **members):
        changed = {name: value for name, value in {**ORDER, **members}.items() if value is not None}
        return self.alice.privatePostApiV1Order(changed)

    def test_too_little_money(self):
        place = self.alice.create_order
        code = "INSUFFICIENT_FUNDS"
        self.refused(ccxt.InsufficientFunds, code, place, SYMBOL, "limit", "sell", 500_000, 25)
        self.refused(ccxt.InsufficientFunds, code, place, SYMBOL, "limit", "buy", 500_000, 25)

    def test_prices_that_cannot_be(self):
        for price in ("25.001", "0", "-1", "0.001"):
            with self.subTest(price=price):
                call = lambda: self.place(price=price)
                self.refused(ccxt.InvalidOrder, "INVALID_PRICE", call)

    def test_quantities_that_cannot_be(self):
        for quantity in ("1.001", "0", "-1"):
            with self.subTest(quantity=quantity):
                call = lambda: self.place(quantity=quantity)
                self.refused(ccxt.BadRequest, "INVALID_QUANTITY", call)

    def test_orders_that_contradict_themselves(self):
        call = lambda: self.place(postOnly=True, timeInForce="IOC")
        self.refused(ccxt.InvalidOrder, "INVALID_ORDER", call)
        for members in (
            {"symbol": "NO_SUCH"},
            {"side": "Buy"},
            {"orderType": "Stop"},
            {"timeInForce": "GTX"},
            {"price": None},
            {"quantity": None},
            {"quantity": "many"},
            {"clientId": 4294967296},
            {"selfTradePrevention": "Never"},
            {"triggerPrice": "30"},
            {"orderType": "Market", "quoteQuantity": "5"},
        ):
            with self.subTest(members=members):
                call = lambda: self.place(**members)
                self.refused(ccxt.BadRequest, "INVALID_CLIENT_REQUEST", call)
        self.moved("alice")

    def test_what_is_not_offered(self):
        call = lambda: self.place(reduceOnly=True)
        self.refused(ccxt.OperationFailed, "NOT_IMPLEMENTED", call)

    def test_orders_that_are_not_there(self):
        code = "RESOURCE_NOT_FOUND"
        order = self.sell("25.01", "1")
        kind = ccxt.ExchangeNotAvailable
        self.refused(kind, code, self.bob.cancel_order, order["id"], SYMBOL)
        self.refused(kind, code, self.bob.fetch_order, order["id"], SYMBOL)
        self.alice.cancel_order(order["id"], SYMBOL)
        self.refused(kind, code, self.alice.cancel_order, order["id"], SYMBOL)
        self.refused(kind, code, self.alice.fetch_open_order, order["id"], SYMBOL)
        self.refused(kind, code, self.alice.fetch_order, "123456789", SYMBOL)

    def test_public_requests_that_cannot_be_read(self):
        ask = self.alice
        code = "INVALID_CLIENT_REQUEST"
        for call in (
            lambda: ask.publicGetApiV1Depth({"symbol": "NO_SUCH"}),
            lambda: ask.publicGetApiV1Depth({"symbol": "SOL_USDC", "limit": 7}),
            lambda: ask.publicGetApiV1Trades({"symbol": "SOL_USDC", "limit": 1001}),
            lambda: ask.publicGetApiV1Klines({"symbol": "SOL_USDC", "interval": "7m", "startTime": 1}),
            lambda: ask.publicGetApiV1Ticker({}),
        ):
            self.refused(ccxt.BadRequest, code, call)

    def test_keys_and_signatures_that_are_wrong(self):
        forger = client("ALICE")
        forger.secret = base64.b64encode(os.urandom(32)).decode()
        self.refused(ccxt.AuthenticationError, "INVALID_SIGNATURE", forger.fetch_balance)
        stranger = client("ALICE")
        stranger.apiKey = base64.b64encode(os.urandom(32)).decode()
        self.refused(ccxt.AuthenticationError, "UNAUTHORIZED", stranger.fetch_balance)

    def test_requests_out_of_their_time(self):
        code = "INVALID_CLIENT_REQUEST"
        for difference in (60_000, -60_000):
            late = client("ALICE")
            late.options["timeDifference"] = difference
            self.refused(ccxt.BadRequest, code, late.fetch_balance)
        wide = client("ALICE")
        wide.options["recvWindow"] = "60001"
        self.refused(ccxt.BadRequest, code, wide.fetch_balance)


if __name__ == "__main__":
    unittest.main()

"""What all tests with ccxt share: its two clients, and balances read to the last unit."""

import unittest
from decimal import Decimal

import ccxt

from world import REST_URL, keys

SYMBOL = "SOL/USDC"
MARKETS = None


def client(name):
    """ccxt as it is published; only the address it calls is ours."""
    key, secret = keys(name)
    return at_this_exchange(ccxt.backpack({"apiKey": key, "secret": secret}))


def at_this_exchange(exchange):
    global MARKETS
    exchange.urls["api"] = {"public": REST_URL, "private": REST_URL}
    if MARKETS is None:
        exchange.load_markets()
        MARKETS = exchange
    else:
        exchange.set_markets(MARKETS.markets, MARKETS.currencies)
    return exchange


def exact(order, member):
    """A number of an answer as the exchange wrote it; ccxt's own are floats."""
    return Decimal(order["info"][member])


class Ccxt(unittest.TestCase):
    """alice and bob, with nothing of theirs in the book before and after each test."""

    @classmethod
    def setUpClass(cls):
        cls.alice = client("ALICE")
        cls.bob = client("BOB")

    def setUp(self):
        self.clear()
        self.before = {}
        for name, account in (("alice", self.alice), ("bob", self.bob)):
            self.before[name] = self.wallet(account)

    def tearDown(self):
        self.clear()

    def clear(self):
        for account in (self.alice, self.bob):
            for symbol in ("SOL/USDC", "ETH/USDC"):
                account.cancel_all_orders(symbol)

    def wallet(self, account):
        """Available and locked by asset, and fetch_balance says the same in its own numbers."""
        wallet = {}
        for asset, row in account.privateGetApiV1Capital().items():
            self.assertEqual(set(row), {"available", "locked", "staked"})
            self.assertEqual(row["staked"], "0")
            wallet[asset] = (Decimal(row["available"]), Decimal(row["locked"]))
        balance = account.fetch_balance()
        for asset, (available, locked) in wallet.items():
            told = [Decimal(str(balance[asset][name])) for name in ("free", "used", "total")]
            self.assertEqual(told, [available, locked, available + locked], asset)
        return wallet

    def moved(self, name, **wanted):
        """Checks how available and locked have changed since the test began; assets that are not
        named have not."""
        account = getattr(self, name)
        after, before = self.wallet(account), self.before[name]
        zero = (Decimal(0), Decimal(0))
        changes = {}
        for asset in set(after) | set(before):
            old, new = before.get(asset, zero), after.get(asset, zero)
            change = (new[0] - old[0], new[1] - old[1])
            if change != zero:
                changes[asset] = change
        expected = {}
        for asset, change in wanted.items():
            change = change if isinstance(change, tuple) else (change, "0")
            expected[asset] = tuple(Decimal(part) for part in change)
        self.assertEqual(changes, expected, f"available and locked of {name}, as changes")

    def sell(self, price, amount, **params):
        """A limit order of alice's that is to rest."""
        order = self.alice.create_order(SYMBOL, "limit", "sell", amount, price, params)
        self.assertEqual((order["status"], order["filled"]), ("open", 0.0), order["info"])
        return order

    def buy(self, price, amount, **params):
        return self.bob.create_order(SYMBOL, "limit", "buy", amount, price, params)

    def trade(self, price, amount):
        """alice sells, bob takes it: the last price is this one afterwards."""
        resting = self.sell(price, amount)
        taken = self.buy(price, amount)
        self.assertEqual((taken["status"], taken["average"]), ("closed", float(price)))
        return resting, taken

"""A browser's way in: sign up, sign in, a cookie and a CSRF token in place of signatures, keys.

The session is kept by requests, whose cookie jar does here what a browser's would.
"""

import re
import unittest
import uuid
from decimal import Decimal

import requests
from backpack_exchange_sdk._base.errors import BackpackAPIError
from backpack_exchange_sdk.authenticated import AuthenticationClient

from world import REST_URL, eventually

PASSWORD = "correct horse battery"
SYMBOL = "SOL_USDC"
COOKIE = "exchange_session"


class Browser:
    """One window of a browser, signed in or not."""

    def __init__(self):
        self.session = requests.Session()
        self.session.trust_env = False
        self.csrf = None

    def call(self, method, path, body=None, csrf="own"):
        headers = {}
        token = self.csrf if csrf == "own" else csrf
        if token is not None:
            headers["X-CSRF-Token"] = token
        send = {"params": body} if method == "GET" else {"json": body or {}}
        return self.session.request(method, REST_URL + path, headers=headers, timeout=15, **send)

    def ok(self, method, path, body=None):
        answer = self.call(method, path, body)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def enter(self, how, email, password=PASSWORD):
        answer = self.call("POST", f"/auth/v1/{how}", {"email": email, "password": password})
        if answer.status_code == 200:
            self.csrf = answer.json()["csrfToken"]
        return answer

    def balance(self, asset):
        capital = self.ok("GET", "/api/v1/capital")
        row = capital.get(asset, {"available": "0", "locked": "0"})
        return Decimal(row["available"]), Decimal(row["locked"])

    def place(self, side, price, quantity):
        order = {"symbol": SYMBOL, "side": side, "orderType": "Limit"}
        return self.ok("POST", "/api/v1/order", {**order, "price": price, "quantity": quantity})


def new_email():
    return f"{uuid.uuid4().hex}@example.org"


class Sessions(unittest.TestCase):
    def setUp(self):
        self.email = new_email()
        self.browser = Browser()
        self.signed_up = self.browser.enter("signup", self.email)
        self.assertEqual(self.signed_up.status_code, 200, self.signed_up.text)

    def refused(self, answer, status, code):
        self.assertEqual((answer.status_code, answer.json()["code"]), (status, code), answer.text)

    def funded(self, *assets):
        for asset in assets:
            self.browser.ok("POST", "/auth/v1/faucet", {"symbol": asset})
        return self.browser


class SigningIn(Sessions):
    def test_signing_up_opens_an_account_and_a_session(self):
        body = self.signed_up.json()
        self.assertEqual(body["email"], self.email)
        self.assertTrue(body["accountId"].isdigit())
        cookie = self.signed_up.headers["Set-Cookie"]
        for mark in (f"{COOKIE}=", "HttpOnly", "SameSite=Strict", "Max-Age=2592000", "Path=/"):
            self.assertIn(mark, cookie)
        self.assertNotIn(PASSWORD, self.signed_up.text)
        self.assertEqual(self.browser.ok("GET", "/auth/v1/me"), body)
        self.assertEqual(self.browser.balance("USDC"), (0, 0))

    def test_signing_in_again_is_the_same_account(self):
        other = Browser()
        answer = other.enter("login", self.email)
        self.assertEqual(answer.status_code, 200, answer.text)
        mine, theirs = self.signed_up.json(), answer.json()
        self.assertEqual(theirs["accountId"], mine["accountId"])
        self.assertNotEqual(theirs["csrfToken"], mine["csrfToken"])
        # Each session has a token of its own; another one's opens nothing.
        other.csrf = mine["csrfToken"]
        self.refused(other.call("GET", "/api/v1/capital"), 403, "FORBIDDEN")

    def test_a_wrong_password_and_an_unknown_address_are_answered_alike(self):
        wrong = Browser().enter("login", self.email, "wrong horse battery")
        unknown = Browser().enter("login", new_email(), "wrong horse battery")
        self.refused(wrong, 401, "UNAUTHORIZED")
        self.assertEqual((wrong.status_code, wrong.text), (unknown.status_code, unknown.text))
        self.assertNotIn("Set-Cookie", wrong.headers)

    def test_signing_up_badly_is_refused_by_name(self):
        short = Browser().enter("signup", new_email(), "too short")
        self.refused(short, 400, "INVALID_CLIENT_REQUEST")
        self.assertIn("password", short.json()["message"])
        bad = Browser().enter("signup", "nobody")
        self.refused(bad, 400, "INVALID_CLIENT_REQUEST")
        self.assertIn("email", bad.json()["message"])
        taken = Browser().enter("signup", self.email.upper())
        self.assertEqual(taken.status_code, 409, taken.text)

    def test_after_signing_out_the_old_cookie_opens_nothing(self):
        kept = self.browser.session.cookies[COOKIE]
        self.browser.ok("POST", "/auth/v1/logout")
        self.assertNotIn(COOKIE, self.browser.session.cookies)
        self.refused(self.browser.call("GET", "/auth/v1/me"), 401, "UNAUTHORIZED")
        thief = Browser()
        thief.csrf = self.browser.csrf
        thief.session.cookies.set(COOKIE, kept)
        closed = lambda: thief.call("GET", "/api/v1/capital").status_code == 401
        eventually("the session is over", closed)

    def test_a_forged_cookie_opens_nothing(self):
        forger = Browser()
        forger.csrf = self.browser.csrf
        real = self.browser.session.cookies[COOKIE]
        for value in ("", "x", real[:-2], real[::-1], "A" * len(real), "' OR 1=1 --"):
            forger.session.cookies.set(COOKIE, value)
            for path in ("/auth/v1/me", "/api/v1/capital"):
                self.refused(forger.call("GET", path), 401, "UNAUTHORIZED")


class Trading(Sessions):
    def test_two_browsers_trade_without_signatures(self):
        seller = self.funded("SOL")
        buyer = Browser()
        buyer.enter("signup", new_email())
        buyer.ok("POST", "/auth/v1/faucet", {"symbol": "USDC"})
        (sol, _), (usdc, _) = seller.balance("SOL"), buyer.balance("USDC")
        resting = seller.place("Ask", "20.01", "2")
        taken = buyer.place("Bid", "20.05", "1.23")
        self.assertEqual((taken["status"], taken["executedQuoteQuantity"]), ("Filled", "24.6123"))
        self.assertEqual(buyer.balance("SOL"), (Decimal("1.22877"), 0))
        self.assertEqual(buyer.balance("USDC"), (usdc - Decimal("24.6123"), 0))
        self.assertEqual(seller.balance("SOL"), (sol - 2, Decimal("0.77")))
        self.assertEqual(seller.balance("USDC"), (Decimal("24.59261"), 0))
        which = {"symbol": SYMBOL, "orderId": resting["id"]}
        seen = seller.ok("GET", "/api/v1/order", which)
        self.assertEqual(seen["status"], "PartiallyFilled")
        self.refused(buyer.call("GET", "/api/v1/order", which), 404, "RESOURCE_NOT_FOUND")
        self.refused(buyer.call("DELETE", "/api/v1/order", which), 404, "RESOURCE_NOT_FOUND")
        self.assertEqual(seller.ok("DELETE", "/api/v1/order", which)["status"], "Cancelled")
        history = buyer.ok("GET", "/wapi/v1/history/orders", {"orderId": taken["id"]})
        self.assertEqual([row["status"] for row in history], ["Filled"])
        self.assertEqual(seller.ok("GET", "/api/v1/orders"), [])

    def test_without_the_csrf_token_nothing_happens(self):
        browser = self.funded("SOL")
        order = {"symbol": SYMBOL, "side": "Ask", "orderType": "Limit"}
        order.update(price="25", quantity="1")
        for token in (None, "", "wrong", browser.csrf[:-1], browser.csrf + "A"):
            for method, path, body in (
                ("POST", "/api/v1/order", order),
                ("DELETE", "/api/v1/orders", {"symbol": SYMBOL}),
                ("GET", "/api/v1/capital", None),
                ("POST", "/auth/v1/keys", {"label": "stolen"}),
            ):
                self.refused(browser.call(method, path, body, token), 403, "FORBIDDEN")
        self.assertEqual(browser.ok("GET", "/api/v1/orders"), [])
        self.assertEqual(browser.ok("GET", "/auth/v1/keys"), [])

    def test_the_faucet_gives_once_a_day(self):
        browser = self.funded("USDC")
        given = browser.balance("USDC")
        self.assertLess(0, given[0])
        again = browser.call("POST", "/auth/v1/faucet", {"symbol": "USDC"})
        self.refused(again, 429, "TOO_MANY_REQUESTS")
        self.assertEqual(browser.balance("USDC"), given)
        unknown = browser.call("POST", "/auth/v1/faucet", {"symbol": "NONE"})
        self.refused(unknown, 400, "INVALID_ASSET")

    def test_a_form_of_another_page_is_refused(self):
        answer = self.browser.session.post(
            REST_URL + "/auth/v1/login", data={"email": self.email, "password": PASSWORD}, timeout=15
        )
        self.refused(answer, 400, "INVALID_CLIENT_REQUEST")


class Keys(Sessions):
    def key(self, **members):
        return self.browser.ok("POST", "/auth/v1/keys", {"label": "bot", **members})

    def client(self, key):
        return AuthenticationClient(
            key["publicKey"], key["secret"], base_url=REST_URL + "/", timeout=15
        )

    def sell(self, client):
        return client.execute_order("Limit", "Ask", SYMBOL, price="25", quantity="1")

    def raises(self, status, code, call):
        with self.assertRaises(BackpackAPIError) as refused:
            call()
        error = refused.exception
        self.assertEqual((error.status_code, error.code), (status, code), str(error))

    def test_a_made_key_trades_and_its_secret_is_shown_once(self):
        self.funded("SOL")
        key = self.key()
        self.assertTrue(re.fullmatch(r"[A-Za-z0-9+/]{43}=", key["secret"]))
        self.assertEqual((key["label"], key["readOnly"], key["allowedAddresses"]), ("bot", False, []))
        order = self.sell(self.client(key))
        self.assertEqual(self.browser.ok("GET", "/api/v1/orders")[0]["id"], order["id"])
        self.browser.ok("DELETE", "/api/v1/orders", {"symbol": SYMBOL})
        (listed,) = self.browser.ok("GET", "/auth/v1/keys")
        self.assertEqual(listed["publicKey"], key["publicKey"])
        self.assertNotIn("secret", listed)

    def test_a_read_only_key_changes_nothing(self):
        self.funded("SOL")
        client = self.client(self.key(readOnly=True))
        self.assertIn("SOL", client.get_balances())
        self.assertEqual(client.get_open_orders(), [])
        self.raises(403, "FORBIDDEN", lambda: self.sell(client))
        self.raises(403, "FORBIDDEN", lambda: client.cancel_open_orders(SYMBOL))
        self.raises(403, "FORBIDDEN", lambda: client.update_account(autoLend=False))
        self.assertEqual(self.browser.ok("GET", "/api/v1/orders"), [])

    def test_a_key_for_another_address_is_refused(self):
        elsewhere = self.client(self.key(allowedAddresses=["192.0.2.1"]))
        self.raises(403, "FORBIDDEN", elsewhere.get_balances)
        here = self.client(self.key(allowedAddresses=["192.0.2.1", "127.0.0.1"]))
        self.assertEqual(here.get_open_orders(), [])

    def test_a_revoked_key_stops_working(self):
        key = self.key()
        client = self.client(key)
        self.assertEqual(client.get_open_orders(), [])
        self.browser.ok("DELETE", "/auth/v1/keys", {"publicKey": key["publicKey"]})

        def stopped():
            try:
                client.get_open_orders()
            except BackpackAPIError as error:
                return error.status_code == 401
            return False

        eventually("the key stops working", stopped)
        self.assertEqual(self.browser.ok("GET", "/auth/v1/keys"), [])


if __name__ == "__main__":
    unittest.main()

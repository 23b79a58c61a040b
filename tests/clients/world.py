"""The exchange a test talks to and two funded accounts, from the environment.

Whoever starts a test sets EXCHANGE_REST_URL, EXCHANGE_WS_URL, EXCHANGE_ALICE_KEY,
EXCHANGE_ALICE_SECRET and the same for BOB. Both have 1000 SOL, 10 BTC, 100 ETH and 1000000 USDC or what they have left of it.
"""

import os
import time
from decimal import Decimal

REST_URL = os.environ["EXCHANGE_REST_URL"]
WS_URL = os.environ.get("EXCHANGE_WS_URL", "")
ADMIN_TOKEN = os.environ.get("EXCHANGE_CLIENT_ADMIN_TOKEN", "")

MAKER_FEE = Decimal("0.0008")
TAKER_FEE = Decimal("0.0010")

PATIENCE_S = 20
POLL_S = 0.05


def keys(name):
    """Public key and secret of an account, both base64."""
    return os.environ[f"EXCHANGE_{name}_KEY"], os.environ[f"EXCHANGE_{name}_SECRET"]


def eventually(what, ask):
    """Asks until the answer is true; what is served from the database follows a moment later."""
    until = time.monotonic() + PATIENCE_S
    while True:
        answer = ask()
        if answer:
            return answer
        if until < time.monotonic():
            raise AssertionError(f"not within {PATIENCE_S} s: {what}; at last {answer!r}")
        time.sleep(POLL_S)


def fee_units(amount, rate, decimals):
    """A fee as the exchange takes it: up to the next unit of the asset."""
    unit = Decimal(1).scaleb(-decimals)
    return (amount * rate).quantize(unit, rounding="ROUND_UP")


def now_ms():
    return int(time.time() * 1000)

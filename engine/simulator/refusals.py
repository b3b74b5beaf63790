"""What the venue refuses, with the code, the words and the HTTP status it uses."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class VenueError(Exception):
    """An answer of the venue that is no success.

    Args:
        code: the venue's code, negative.
        message: the venue's words.
        http_status: of the answer, 400 unless told.
        headers: to be sent with it, such as ``Retry-After``.
    """

    def __init__(
        self, code: int, message: str, http_status: int = 400, headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        super().__init__(f"{http_status} {code} {message}")
        self.code = code
        self.message = message
        self.http_status = http_status
        self.headers = headers

    def body(self) -> dict[str, int | str]:
        """Return the answer's JSON body."""
        return {"code": self.code, "msg": self.message}


# messages as documented by the venue, or seen in answers of it; `%s` is filled in
WORDS: Mapping[int, str] = MappingProxyType(
    {
        -1102: "Mandatory parameter '%s' was not sent, was empty/null, or malformed.",
        -1106: "Parameter '%s' sent when not required.",
        -1111: "Precision is over the maximum defined for this asset.",
        -1115: "Invalid timeInForce.",
        -1116: "Invalid orderType.",
        -1117: "Invalid side.",
        -1120: "Invalid interval.",
        -1121: "Invalid symbol.",
        -1125: "This listenKey does not exist.",
        -1128: "Combination of optional parameters invalid.",
        -1130: "Data sent for parameter '%s' is not valid.",
        -2011: "Unknown order sent.",
        -2013: "Order does not exist.",
        -2015: "Invalid API-key, IP, or permissions for action.",
        -2019: "Margin is insufficient.",
        -2021: "Order would immediately trigger.",
        -2022: "ReduceOnly Order is rejected.",
        -2025: "Reach max open order limit.",
        -2027: "Exceeded the maximum allowable position at current leverage.",
        -4002: "Price greater than max price.",
        -4003: "Quantity less than or equal to zero.",
        -4004: "Quantity less than min quantity.",
        -4005: "Quantity greater than max quantity.",
        -4013: "Price less than min price.",
        -4014: "Price not increased by tick size.",
        -4015: "Client order id length should be less than 36 chars",
        -4016: "Limit price can't be higher than %s.",
        -4023: "Quantity not increased by step size.",
        -4024: "Limit price can't be lower than %s.",
        -4028: "Leverage %s is not valid",
        -4045: "Reach max stop order limit.",
        -4046: "No need to change margin type.",
        -4047: "Margin type cannot be changed if there exists open orders.",
        -4048: "Margin type cannot be changed if there exists position.",
        -4059: "No need to change position side.",
        -4061: "Order's position side does not match user's setting.",
        -4067: "Position side cannot be changed if there exists open orders.",
        -4068: "Position side cannot be changed if there exists position.",
        -4082: "Invalid number of batch place orders.",
        -4108: "This symbol is in Delivering or Delivered or Settling or Closed or Pre-Trading.",
        -4116: "ClientOrderId is duplicated.",
        -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
        -4137: "Quantity must be zero with closePosition equals true.",
        -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
        -4164: "Order's notional must be no smaller than %s (unless you choose reduce only)",
        -4171: "No need to change multi-assets mode.",
        -4400: "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, please try again later.",
        -4509: "Time in Force (TIF) GTE can only be used with open positions. "
        "Please ensure that positions are available.",
        -5021: "Due to the order could not be filled immediately, the FOK order has been rejected. "
        "The order will not be recorded in the order history",
        -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected. "
        "The order will not be recorded in the order history",
    }
)

_UNAUTHORISED = 401
_NOT_FOUND = 404


def refusal(code: int, *words: object) -> VenueError:
    """Return the venue's error of `code`, its words filled in with `words`."""
    text = WORDS[code]
    return VenueError(code, text % words if words else text)


def unauthorised() -> VenueError:
    """Return what a wrong key, or one without the permission, is told."""
    return VenueError(-2015, WORDS[-2015], _UNAUTHORISED)


def no_such_path(method: str, path: str) -> VenueError:
    """Return what a request to nowhere is told."""
    return VenueError(-5000, f"Path {path}, Method {method} is invalid", _NOT_FOUND)

"""AWS Signature Version 4, by the vectors that AWS publishes."""

from __future__ import annotations

import pytest

from polyroute.providers.aws_signature import AWSKeys, moment_of, signature
from polyroute.settings import Secret

KEYS = AWSKeys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def signed(method="GET", path="/", headers=None, body=b"", host="https://example.amazonaws.com", **scope):
    asked = {"region": "us-east-1", "service": "service", "moment": "20150830T123600Z", **scope}
    named = {"x-amz-date": asked["moment"], **(headers or {})}
    return signature(KEYS, method=method, url=host + path, headers=named.items(), body=body, **asked)


# What the suite calls `*-normalize-*` is about paths that no model's name makes.
@pytest.mark.parametrize(
    ("request_", "names", "proof"),
    [
        pytest.param({}, "host;x-amz-date",
                     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", id="get-vanilla"),
        pytest.param({"path": "/?Param2=value2&Param1=value1"}, "host;x-amz-date",
                     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", id="get-vanilla-query-order-key-case"),
        pytest.param({"path": f"/?{UNRESERVED}={UNRESERVED}"}, "host;x-amz-date",
                     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197", id="get-vanilla-query-unreserved"),
        pytest.param({"path": f"/{UNRESERVED}"}, "host;x-amz-date",
                     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f", id="get-unreserved"),
        pytest.param({"path": "/ሴ"}, "host;x-amz-date",
                     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85", id="get-utf8"),
        pytest.param({"path": "/example space/"}, "host;x-amz-date",
                     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741", id="get-space"),
        pytest.param({"headers": {"my-header1": "value2,value2,value1"}}, "host;my-header1;x-amz-date",
                     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea", id="get-header-key-duplicate"),
        pytest.param({"headers": {"my-header1": " value1", "my-header2": ' "a   b   c"'}}, "host;my-header1;my-header2;x-amz-date",
                     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736", id="get-header-value-trim"),
        pytest.param({"method": "POST"}, "host;x-amz-date",
                     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", id="post-vanilla"),
        pytest.param({"method": "POST", "headers": FORM, "body": b"Param1=value1"}, "content-type;host;x-amz-date",
                     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", id="post-x-www-form-urlencoded"),
    ],
)  # fmt: skip
def test_the_published_vectors_come_out_as_published(request_, names, proof):
    assert signed(**request_) == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={proof}"
    )


def test_what_a_path_has_escaped_is_escaped_once_more():
    # As botocore 1.44 signs it.
    asked = signed(
        "POST", "/model/us.amazon.nova-2-lite-v1%3A0/converse", {"content-type": "application/json"}, b"{}",
        "https://bedrock-runtime.us-east-1.amazonaws.com", service="bedrock",
    )  # fmt: skip

    assert asked.endswith("Signature=21cdb497f6551e9e359bbec0c1b24e51ab1ff889b97e8e14c30b88ddf2fe5884")


@pytest.mark.parametrize(
    ("host", "same"),
    [
        ("https://EXAMPLE.amazonaws.com", True),
        ("https://example.amazonaws.com:443", True),
        ("https://example.amazonaws.com:8443", False),
        ("http://example.amazonaws.com:443", False),
    ],
)
def test_the_host_is_signed_as_the_request_names_it(host, same):
    assert (signed(host=host) == signed()) is same


def test_a_moment_is_told_in_the_time_of_greenwich():
    assert moment_of(1_440_938_160.9) == "20150830T123600Z"


def test_keys_are_not_shown():
    assert "wJalr" not in repr(KEYS)

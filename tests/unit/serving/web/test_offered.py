"""Which requests the page answers, and which of them to who has not come in."""

import pytest

from serving.web.offered import OFFERS, find_offer


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /", "GET /login", "GET /assets", "GET /assetsx/a", "GET /gradio_api/proxy=http://x", "GET /file=/x",
        "GET /gradio_api/file=http://x", "GET //config", "GET /config/x", "GET /gradio_api/run/f", "get /",
        "POST /gradio_api/heartbeat/x", "GET /gradio_api/heartbeat/a/b", "GET /gradio_api/queue/data/",
        "GET /theme.css/x", "GET /themexcss",
    ],
)  # fmt: skip
def test_what_is_not_named_is_not_there(request_line: str) -> None:
    assert find_offer(*request_line.split(" ")) is None


def test_without_the_token_one_gets_the_door_and_nothing_that_anybody_sent() -> None:
    door = {one.paths for one in OFFERS if one.is_open}
    asked = ["/config", "/gradio_api/file=/x", "/gradio_api/queue/data", "/gradio_api/heartbeat/x"]
    offers = [find_offer("GET", path) for path in asked]
    assert all(one is not None and one.paths not in door for one in offers)
    assert find_offer("GET", "/gradio_api/file=/a\n/b") is not None  # Gradio's to refuse, behind the door

"""What serving is measured against: the least FastAPI that reads lines with the same recogniser.

    python -m benchmarks.plain_server --bundle DIR --threads N

No limits, no log, no profile rows, no verdicts, no protocol but a list of base64 texts; it says when it is ready.
"""

import argparse
import asyncio
import base64
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from htr.recogniser import Recogniser


def application(recogniser: Recogniser, pool: ThreadPoolExecutor) -> FastAPI:
    """Return the application: POST /read with ``{"images": [base64, ...]}``."""
    app = FastAPI()

    def read(images: list[str]) -> list[dict[str, Any]]:
        readings = recogniser.read([base64.b64decode(image) for image in images])
        return [{"text": reading.text, "confidence": reading.confidence} for reading in readings]

    @app.post("/read")
    async def answer(request: Request) -> dict[str, Any]:
        body = await request.json()
        return {"readings": await asyncio.get_running_loop().run_in_executor(pool, read, body["images"])}

    return app


def main() -> None:
    """Serve on a free port of this machine until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(args.threads) as pool:
        app = application(Recogniser.load(args.bundle), pool)
        print(f"ready at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

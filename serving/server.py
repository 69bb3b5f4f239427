"""KServe's model server, bound where it is told to be and saying when it is ready.

KServe binds every address of the machine, shares its gRPC port with whoever else binds it, and does not tell when
it takes requests. Everything else, routes and protocols, is its own.
"""

import asyncio
from argparse import Namespace
from collections.abc import Callable

from grpc import aio
from kserve import Model, ModelServer
from kserve.model_server import app
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer

from htr.errors import ServiceError
from serving.access import Token
from serving.addresses import Addresses, netloc
from serving.dataplane import FixedRepository, LineDataPlane
from serving.grpc_access import TokenInterceptor
from serving.rest import add_v2_route

_MESSAGE_LENGTHS = ("max_send_message_length", "max_receive_message_length")


class LineServer(ModelServer):  # type: ignore[misc]  # KServe is untyped
    """A model server on one address.

    Args:
        host: address to bind; 127.0.0.1 is this machine only, 0.0.0.0 every network.
        flags: what KServe's parser read; port 0 means any free one.
        announce: called once, when requests are taken.
        token: what gRPC clients must send, or None; HTTP is `guard`'s affair.
    """

    def __init__(
        self, *, host: str, flags: Namespace, announce: Callable[[Addresses], None], token: Token | None = None
    ) -> None:
        super().__init__(
            http_port=flags.http_port,
            grpc_port=flags.grpc_port,
            max_threads=flags.max_threads,
            enable_grpc=False,  # ours takes its place
            enable_docs_url=flags.enable_docs_url,
            enable_latency_logging=flags.enable_latency_logging,
            access_log_format=flags.access_log_format,
            event_loop=flags.event_loop,
            timeout_keep_alive=flags.timeout_keep_alive,
            ssl_certfile=flags.ssl_certfile,
            ssl_keyfile=flags.ssl_keyfile,
        )
        self.dataplane = LineDataPlane(model_registry=self.registered_models)
        self.model_repository_extension = FixedRepository(model_registry=self.registered_models)
        self._host = host
        self._flags = flags
        self._announce = announce
        self._token = token

    def start(self, models: list[Model]) -> None:
        """Serve until SIGTERM or SIGINT; requests in flight are answered before it returns.

        Raises:
            ServiceError: a port cannot be bound.
        """
        add_v2_route(app, self.dataplane)
        if self._flags.enable_grpc:
            self._grpc_server = _BoundGRPCServer(
                self._host, self.grpc_port, self.dataplane, self.model_repository_extension, vars(self._flags)
            )
            if self._token is not None:
                self._grpc_server.interceptors.insert(0, TokenInterceptor(self._token))
            self.servers.append(self._grpc_server.start(self.max_threads))
        try:
            super().start(models)
        except SystemExit as error:  # how uvicorn ends when it cannot bind, its reason logged
            raise ServiceError(
                f"port {self.http_port} on {self._host} cannot be bound; choose another --http_port"
            ) from error

    async def _serve(self) -> None:
        self._rest_server.config.host = self._host
        announcing = asyncio.create_task(self._announce_when_ready())
        try:
            await super()._serve()
        finally:
            announcing.cancel()

    async def _announce_when_ready(self) -> None:
        http, grpc = self._rest_server._server, self._grpc_server
        while not http.started or (grpc is not None and not grpc.bound_port):
            await asyncio.sleep(0.02)
        port = http.servers[0].sockets[0].getsockname()[1]
        scheme = "https" if http.config.is_ssl else "http"
        self._announce(
            Addresses(
                url=f"{scheme}://{netloc(self._host, port)}",
                grpc=netloc(self._host, grpc.bound_port) if grpc is not None else "",
            )
        )


class _BoundGRPCServer(GRPCServer):  # type: ignore[misc]  # KServe is untyped
    """KServe's gRPC server on one address, which it does not share with a second server as gRPC would."""

    def __init__(self, host: str, port: int, data_plane: object, repository: object, options: object) -> None:
        super().__init__(port, data_plane, repository, kwargs=options)
        self._host = host
        self.bound_port = 0
        self.interceptors = [ExceptionToStatusInterceptor()]

    async def start(self, max_workers: int) -> None:
        sizes = {f"grpc.{name}": self._kwargs[f"grpc_{name}"] for name in _MESSAGE_LENGTHS}
        self._server = aio.server(
            interceptors=self.interceptors,
            options=[*sizes.items(), ("grpc.so_reuseport", 0)],
        )
        servicer = InferenceServicer(self._data_plane, self._model_repository_extension)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        try:
            port = self._server.add_insecure_port(netloc(self._host, self._port))
        except RuntimeError as error:
            raise ServiceError(
                f"port {self._port} on {self._host} cannot be bound; choose another --grpc_port"
            ) from error
        await self._server.start()
        self.bound_port = port
        await self._server.wait_for_termination()

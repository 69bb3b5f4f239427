"""How the governor's server proves itself over TLS, and whom it asks to do the same."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from htr.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How the server proves itself, and whom it asks to do the same."""

    certificate: Path
    key: Path
    clients: Path | None = None
    """Authorities whose certificates clients must show; None asks for none."""

    def context(self) -> ssl.SSLContext:
        """Return what sockets are wrapped with.

        Raises:
            SettingsError: a file is missing or no certificate or key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.clients is not None:
                context.load_verify_locations(self.clients)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"--tls-cert, --tls-key, --tls-clients: cannot be used ({error})") from error
        return context

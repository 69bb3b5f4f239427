"""Certificates of an authority of a test's own, by openssl."""

import subprocess
from pathlib import Path


def make_certificates(folder: Path) -> None:
    """Make an authority, and a certificate of the server and one of a client that it signs."""
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run += ["-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]
    subprocess.run(run, cwd=folder, check=True, capture_output=True)
    for name in ("server", "client"):
        made = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        made += ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"]
        subprocess.run(made, cwd=folder, check=True, capture_output=True)
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = [
            "openssl",
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
        ]
        signed += ["-CAcreateserial", "-extfile", "ext", "-out", f"{name}.pem"]
        subprocess.run(signed, cwd=folder, check=True, capture_output=True)

# SPDX-License-Identifier: Apache-2.0
"""Certificates that deploy/make-certs would not make, of the same authority: other names, other uses."""
from .cluster import run


def certificate(directory, name, names, usage="serverAuth,clientAuth"):
    """Makes NAME.crt and NAME.key beside the authority's files, good for these names; the two paths."""
    crt, key, request, extensions = (directory / f"{name}.{suffix}" for suffix in ("crt", "key", "csr", "ext"))
    extensions.write_text(f"subjectAltName={','.join('DNS:' + n for n in names)}\nextendedKeyUsage={usage}\n")
    run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
         "-keyout", key, "-out", request])
    run(["openssl", "x509", "-req", "-in", request, "-days", "2", "-CA", directory / "ca.crt", "-CAkey", directory / "ca.key",
         "-set_serial", "4711", "-extfile", extensions, "-out", crt])
    key.chmod(0o600)
    return crt, key

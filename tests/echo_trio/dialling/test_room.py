from pathlib import Path

import pytest

from echo_trio.dialling.room import ClientContexts
from echo_trio.wire.tls import CertificateUnusable


@pytest.mark.parametrize("of_authorities", [True, False])
def test_a_file_that_can_not_be_used_is_found_before_anybody_dials(
    tmp_path: Path, of_authorities: bool
) -> None:
    file = tmp_path / "nonsense.pem"
    file.write_text("no certificate")
    contexts = ClientContexts(
        {} if of_authorities else {"one": file}, file if of_authorities else None
    )
    with pytest.raises(CertificateUnusable):
        contexts.check()
    ClientContexts({}, None).check()

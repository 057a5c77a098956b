import io

import pytest

from tfp_realnvp.data.forward_file import ForwardFile


def test_it_goes_forward_as_the_file_does():
    file = ForwardFile(io.BytesIO(b"0123456789"), 10)
    assert file.read(2) == file.last == b"01"
    assert file.seek(5) == file.tell() == 5
    assert file.read_data(3) == b"567"
    assert file.last == b"01"
    assert file.read(100) == b"89"


def test_it_neither_goes_back_nor_on_for_ever():
    file = ForwardFile(io.BytesIO(bytes(100)), 50)
    file.seek(20)
    with pytest.raises(EOFError, match="leads back to byte 19"):
        file.seek(19)
    with pytest.raises(EOFError, match="goes on beyond byte 50"):
        file.seek(51)
    with pytest.raises(EOFError, match="goes on beyond byte 50"):
        file.read_data(31)


@pytest.mark.parametrize("size", [-1, 2**20 + 1])
def test_headers_do_not_fill_memory(size):
    with pytest.raises(EOFError, match=f"a header of {size} bytes"):
        ForwardFile(io.BytesIO(bytes(100)), 2**30).read(size)

import pytest

# The servers are started once.
pytestmark = pytest.mark.xdist_group("serve")


def test_load_test_compares_and_judges(serve, artifacts, capfd, monkeypatch):
    options = ["--quick", "--clients=4", "--server-options=--max-batch=4"]
    argv = ["load_test.py", str(artifacts / "image"), *options]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        serve("load_test").main()
    printed = capfd.readouterr().out
    assert ended.value.code == 0, printed
    for part in ("4 clients, batching: ", " 0 errors", "memory: ", "times the through"):
        assert part in printed


def test_load_test_tells_wrong_answers(serve, images, artifacts, monkeypatch, capsys):
    load_test = serve("load_test")
    work, expected = load_test.make_requests(artifacts / "image")
    argv = ["load_test.py", str(artifacts / "image"), "--quick", "--clients=2"]
    monkeypatch.setattr("sys.argv", [*argv, f"--url=http://127.0.0.1:{images.port}"])
    expected[5] += 1
    monkeypatch.setattr(load_test, "make_requests", lambda _: (work, expected))
    with pytest.raises(SystemExit) as ended:
        load_test.main()
    assert ended.value.code == 1
    assert f"expected log_prob [{expected[5]}], got" in capsys.readouterr().out

import pytest
import tensorflow as tf

from tfp_realnvp.runs.strategy import is_chief, make_strategy


def test_one_device_is_enough_where_there_are_no_more(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("auto", "none"):
        strategy = make_strategy(name)
        assert strategy is tf.distribute.get_strategy()
        assert is_chief(strategy)


def test_mirrored_takes_the_cpu_where_there_is_no_gpu():
    strategy = make_strategy("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert is_chief(strategy)


def test_unknown_strategies_are_refused():
    with pytest.raises(ValueError, match='expected "auto", "none", .*, got \'tpu\''):
        make_strategy("tpu")


@pytest.mark.parametrize(
    "config",
    [
        None,
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_cluster_must_be_described(config, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="strategy: expected TF_CONFIG like"):
        make_strategy("multiworker")


@pytest.mark.parametrize(
    ("kind", "index", "jobs", "chief"),
    [
        ("worker", 0, ("worker",), True),
        ("worker", 1, ("worker",), False),
        ("worker", 0, ("worker", "chief"), False),
        ("chief", 0, ("worker", "chief"), True),
    ],
)
def test_one_process_of_a_cluster_is_its_chief(kind, index, jobs, chief):
    cluster = {job: ["127.0.0.1:1", "127.0.0.1:2"] for job in jobs}

    class Strategy:
        cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(cluster), task_type=kind, task_id=index
        )

    assert is_chief(Strategy()) is chief
